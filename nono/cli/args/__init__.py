"""Parse command lines. Pure.

`options` declares every option of the sandbox commands: its help, its place in a manifest and what it
needs. `scan` or `argparse_parser` reads the options, and `parse` returns an Invocation. Options that belong
to a single other command are declared in the module of that command.
"""
