"""Fuzz HTTP/1.1: streams generated from a grammar, and other people's parsers that read them too."""
