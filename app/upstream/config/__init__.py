"""Services as an operator configured them: environment and file."""
