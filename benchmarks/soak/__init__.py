"""A mixed load with faults: `python -m benchmarks.soak`."""
