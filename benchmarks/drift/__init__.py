"""`make bench-drift`: how often monitoring is wrong, and what it finds."""
