"""Versions, which one serves, and how that changes."""
