"""Work that outlives a request: what is true of a job stands in the store alone."""
