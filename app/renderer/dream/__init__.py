"""Procedural art of a prompt."""
