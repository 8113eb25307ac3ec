"""`mimeo batch`: an image of every row of a table, in one ZIP."""
