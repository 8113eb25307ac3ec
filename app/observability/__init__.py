"""What an operator sees: the access log and the metrics."""
