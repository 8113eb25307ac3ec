"""Wire formats of others over one function: names and shapes, no Flask."""
