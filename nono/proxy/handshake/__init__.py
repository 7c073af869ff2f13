"""Parse the first bytes of a client: TLS ClientHello, ALPN, SSH identification. Pure."""
