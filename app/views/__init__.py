"""HTTP in: one blueprint a file, each built from the parts it needs."""
