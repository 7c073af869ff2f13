"""Implement the embedded credential store: one private file under a lock."""
