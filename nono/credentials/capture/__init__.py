"""Credentials that a command prints on demand."""
