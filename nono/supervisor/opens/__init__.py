"""Performs or observes opens.

`handler` serves elevation, `thread_names` GPU drivers, `instruction_files` a trust policy, `judged_files` its
files; `path_observer` serves `nono learn`; `path_arguments` reads and resolves the paths.
"""
