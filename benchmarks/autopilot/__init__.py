"""`make bench-autopilot`: whole years, on several data sets, by the functions that decide."""
