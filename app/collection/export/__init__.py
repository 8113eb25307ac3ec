"""From a collection's images to one answer: ZIP, JSON, PDF, animations."""
