"""`make bench-promotion`: how often promotion is wrong, how soon it comes, what caution costs."""
