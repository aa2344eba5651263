"""Your endpoints: one file each. `flight_delay.py` is the endpoint `flight-delay`."""
