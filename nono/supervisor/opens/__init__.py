"""Perform or observe opens.

`handler` serves elevation, `thread_names` GPU drivers, `instruction_files` a trust policy, with
`instruction_opens` to recognise such an open and `judged_files` for the files it passes on; `path_observer`
serves `nono learn`; `path_arguments` reads and resolves paths.
"""
