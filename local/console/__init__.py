"""The console as a browser on this machine sees it: of `make serve`, or of a stack, signed for."""
