"""Check the instruction files of a project, for `nono trust` and before a run.

`loaded` reads policies, keys and the memory of earlier runs. `before_run` checks, asks and remembers;
`opened` answers `nono why`; `wording` says how the check ended.
"""
