"""Fetches access tokens from a token endpoint."""
