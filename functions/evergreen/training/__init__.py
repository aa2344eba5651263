"""From labelled examples to a version that has passed its gates."""
