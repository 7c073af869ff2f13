"""Sum up what a run did, from the events of its audit log.

`model` defines the values, `gather` fills them in one pass over a log; `hosts`, `timeline` and `usage` are
parts of it. `later` names the files that programs outside will run, `many` adds up several sessions, `replay`
judges a log by another policy, `integrity` says if a log is unchanged. Wording and layout are in
nono.cli.text and nono.cli.commands.report.
"""
