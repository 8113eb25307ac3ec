"""Templates: their files, declared parameters, and markup."""
