"""The command line: parse, dispatch, print.

`main` finds the command in `command_table`, which loads it from `commands`. `args` declares and parses
options, `resolution` finds the profile and resolves the policy, `run_summary` and `dry_run` print before a
run and `diagnostics` after it, in the words of `text`. `completion` writes shell completions, `why_context`
the run that `nono why` is asked about.
"""
