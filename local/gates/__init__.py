"""What `make check` asks besides style and types."""
