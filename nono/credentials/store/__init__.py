"""Implements the embedded credential store: one private file under a lock."""
