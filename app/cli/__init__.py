"""The command line: `mimeo serve`, `render`, `renderers`, `batch`, `doctor`."""
