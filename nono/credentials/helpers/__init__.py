"""Run credential helpers with limits on time and output, and report how each ended."""
