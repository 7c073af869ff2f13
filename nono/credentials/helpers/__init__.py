"""Runs a credential helper, bounded, and tells how it ended."""
