"""AWS as moto plays it: its resources, its permissions and its faults."""
