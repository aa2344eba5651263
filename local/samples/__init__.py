"""The data of the sample endpoints, read from PyPI packages."""
