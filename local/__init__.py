"""The stack on your own machine: template.yaml over moto, with the real handlers."""
