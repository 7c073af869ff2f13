"""Obtain credentials that a command prints on demand."""
