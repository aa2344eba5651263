"""`make bench`: predict beside an empty function and the common pattern."""
