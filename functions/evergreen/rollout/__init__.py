"""Evidence in, decision out."""
