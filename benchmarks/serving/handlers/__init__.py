"""What the emulator runs; each file is copied beside the code that it measures."""
