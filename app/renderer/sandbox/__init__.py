"""The process that draws callers' own HTML, and is killed at a deadline."""
