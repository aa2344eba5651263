"""The HTTP API: its routes, what requests may hold, and how one is answered."""
