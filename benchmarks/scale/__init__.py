"""`make bench-scale`: what one function carries, in seconds of the processor and peak memory."""
