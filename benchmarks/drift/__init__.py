"""`make bench-drift`: how often monitoring is wrong, what it finds, and what it costs."""
