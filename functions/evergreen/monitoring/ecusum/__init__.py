"""The e-CUSUMs: evidence that something became worse, which may be looked at every day."""
