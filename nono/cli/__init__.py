"""The command line: parse, dispatch, print.

`main` finds the command in `commands`; `args` parses its options, `resolution` finds the profile and
resolves the policy, `text` words what `output` prints. `completion` writes shell completions.
"""
