"""The console: the endpoints of a stack as a person looks at them, and decides about them."""
