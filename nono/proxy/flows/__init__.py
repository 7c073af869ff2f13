"""Record exchanges: `recorder` writes a file for mitmweb, `redact` removes credentials from it."""
