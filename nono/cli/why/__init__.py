"""Answer `nono why` on the command line.

`context` finds the run that is asked about, `answering` answers by its policy: `own_directories` says what
the command has others of, `permissions` what this user may not do. `text` spells the answer.
"""
