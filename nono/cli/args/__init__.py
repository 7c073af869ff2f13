"""Parses command lines. Pure.

`options` declares the options, `scan` or `argparse_parser` reads them, `parse` returns an Invocation.
"""
