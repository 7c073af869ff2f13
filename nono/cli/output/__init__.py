"""Prints before, during and after a run, and offers to save grants for what was denied."""
