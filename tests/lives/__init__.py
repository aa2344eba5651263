"""Whole lives of endpoints, as a person would go through them, and the pages that they see."""
