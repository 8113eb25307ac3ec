"""From a table to a collection: readers, validation, rows at rest."""
