"""HTTP/1.1 to fuzz with: streams that a grammar makes, and the parsers of other hands that read them too."""
