"""`mimeo batch`: a table becomes an archive on disk."""
