"""Access tokens, fetched from a token endpoint."""
