"""What a run did, as values for a page: summed up from the events of its audit log.

`model` has the values, `gather` fills them in one pass over a log; `hosts`, `timeline` and `usage` are its
parts. `later` names the files that programs outside will run, `many` adds up several sessions, `replay`
judges what a log holds by another policy. Words and layout are in nono.cli.text and nono.cli.commands.report.
"""
