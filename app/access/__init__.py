"""Who may do what: keys, signed URLs, local callers, and what each has used up."""
