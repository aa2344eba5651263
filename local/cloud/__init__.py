"""AWS as moto plays it: its resources and its permissions."""
