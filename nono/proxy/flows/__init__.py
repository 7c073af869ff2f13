"""Recordings of exchanges: `recorder` writes the file that mitmweb opens, `redact` decides what may be in
it.
"""
