"""nono runs a coding agent so that the kernel holds it to what a person granted."""

__version__ = "0.1.0"
