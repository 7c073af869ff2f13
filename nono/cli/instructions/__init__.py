"""Instruction files of a project, for `nono trust` and before a run.

`loaded` reads policies, keys and memory; `wording` says what came
of it.
"""
