"""Everything that turns parameters into pixels; knows nothing of the web."""
