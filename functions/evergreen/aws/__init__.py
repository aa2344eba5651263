"""How a function talks to AWS."""
