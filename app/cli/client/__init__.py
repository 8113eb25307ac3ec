"""A Mimeo server elsewhere, asked over HTTP."""
