"""Instruction files of a project, for `nono trust` and before a run.

`loaded` reads policies, keys and memory; `before_run` checks, asks and remembers; `opened` answers
`nono why`; `wording` says what came of it.
"""
