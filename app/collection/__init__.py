"""Collections: rows of parameters in, many valid image requests out, in order."""
