"""Runs credential helpers with limits on time and output, and reports how each ended."""
