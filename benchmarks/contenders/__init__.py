"""The servers that Mimeo is measured against, where they are written in Python."""
