"""The event plane: it reads template.yaml and calls the real handlers."""
