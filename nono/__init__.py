"""nono runs a coding agent in a sandbox that the kernel enforces."""

__version__ = "0.1.0"
