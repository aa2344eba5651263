"""The machinery of Evergreen; handlers call it, and it never imports endpoints/."""
