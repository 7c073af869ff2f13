"""Define the application protocols offered in a TLS handshake."""

Alpn = tuple[str, ...]  # protocol names, the preferred one first (RFC 7301)

HTTP1: Alpn = ("http/1.1",)
HTTP2: Alpn = ("h2", "http/1.1")
HTTP2_AT_NEED: Alpn = ("http/1.1", "h2")
