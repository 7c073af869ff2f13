"""Attack the proxy and its supervisor: scripted bytes, floods, and misuse of the token."""
