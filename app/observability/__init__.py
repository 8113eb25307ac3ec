"""What an operator sees: the access log, the audit and the metrics."""
