"""Concurrency, circuit breaker and retry around the calls of a service."""
