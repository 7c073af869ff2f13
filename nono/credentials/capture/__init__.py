"""Obtains credentials that a command prints on demand."""
