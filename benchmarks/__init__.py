"""Benchmarks that anyone can repeat; `README.md` says how."""
