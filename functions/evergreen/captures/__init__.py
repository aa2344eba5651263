"""Recorded predictions and their late labels."""
