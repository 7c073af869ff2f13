"""Answer `nono why` on the command line.

`context` finds the run that is asked about, `own_directories` says what the command has others of, and `text`
spells the answer.
"""
