"""`make load`: an API under load while a version is promoted and rolled back."""
