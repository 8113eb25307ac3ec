"""HTTP out: conditions, ranges, names, negotiation, and the answers themselves."""
