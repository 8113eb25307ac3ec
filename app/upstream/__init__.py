"""Services that make images elsewhere, called over HTTP."""
