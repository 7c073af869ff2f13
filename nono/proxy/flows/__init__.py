"""Record exchanges: `recorder` writes a file for mitmweb, `redact` removes credentials from it.

`netstrings` splits such a file again.
"""
