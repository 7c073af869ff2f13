"""Fetch access tokens from a token endpoint."""
