"""What bytes are: format, size, and whether they are whole."""
