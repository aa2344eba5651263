"""The command `evergreen`: what people ask of a stack, and decide about it, over its API."""
