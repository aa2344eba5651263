"""What Evergreen costs, measured on this machine."""
