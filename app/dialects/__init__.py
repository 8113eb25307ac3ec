"""Wire schemas in which callers ask for images of a prompt."""
