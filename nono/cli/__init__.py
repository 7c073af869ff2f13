"""Parse the command line, dispatch to a command and print its output.

`main` finds the command in `command_table`, which loads it from `commands`; `advice` says what to do about an
error. `args` declares and parses the options, and `resolution` finds the profile and resolves the policy.
`run_summary` and `dry_run` print before a run and `diagnostics` after it; `text` holds their wording.
`completion` writes shell completions. `why` finds the run that `nono why` is asked about, and spells the
answer.
"""
