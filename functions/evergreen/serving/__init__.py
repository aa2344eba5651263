"""Load a version, and answer with it."""
