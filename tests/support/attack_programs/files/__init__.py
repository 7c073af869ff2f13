"""Reach files that rules protect through other names, mounts, devices, and programs without a path."""
