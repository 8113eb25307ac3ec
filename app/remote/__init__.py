"""The client of a Mimeo server: collections made there and fetched from there."""
