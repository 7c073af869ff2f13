"""Prints before, during and after a run, and offers to save what was denied."""
