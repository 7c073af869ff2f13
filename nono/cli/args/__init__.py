"""Parses command lines. Pure.

`options` declares every option of the sandbox commands: its help, its place in a manifest, what it needs.
`scan` or `argparse_parser` reads them, `parse` returns an Invocation. Options of one other command are in
its module.
"""
