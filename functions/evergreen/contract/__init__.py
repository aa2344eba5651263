"""What a data scientist writes, in words that every wing uses."""
