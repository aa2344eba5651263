"""A year of real flights at four levels of maturity."""
