"""What a command does to the proxy and its supervisor: scripts of bytes, floods, and use of the token."""
