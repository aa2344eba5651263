"""Training files as tables: nothing of a file is guessed, executed or fetched."""
