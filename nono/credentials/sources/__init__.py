"""Reads credentials from the places that can hold one, one module per source."""
