"""Record exchanges: `recorder` writes a file for mitmweb, and `flow` collects each exchange in it.

`redact` removes credentials from a flow, and `netstrings` splits such a file again.
"""
