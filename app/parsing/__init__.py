"""From strings to requests: what a caller wrote becomes an ImageRequest here."""
