"""Provide the session's CA, and the root certificates that clients inside trust."""
