"""The sample's own life: a year of flights, and what the demo makes go wrong in its autumn."""
