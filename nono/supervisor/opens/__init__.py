"""Performs or observes opens.

`handler` serves elevation, `thread_names` GPU drivers, `instruction_files` a trust policy, `path_observer`
`nono learn`; `path_arguments` reads and resolves the paths.
"""
