"""Parse command lines. Pure.

`options` declares every option of the sandbox commands: its help, its place in a manifest and what it needs.
`scan` or `argparse_parser` reads the options, and `parse` returns an Invocation. `mistakes` and
`near_options` word what is wrong with a line, `help_wanted` carries a request for help to the top level,
`recorded` keeps options in the log for judging a run again. Options that belong to a single other command are
declared in the module of that command.
"""
