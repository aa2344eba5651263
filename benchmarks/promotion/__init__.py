"""`make bench-promotion`: how often promotion is wrong, and how soon it comes."""
