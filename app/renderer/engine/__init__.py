"""HTML and text through the layout engine, and its fonts."""
