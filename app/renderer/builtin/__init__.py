"""The renderers that come with Mimeo and are no templates."""
