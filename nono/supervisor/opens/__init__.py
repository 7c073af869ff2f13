"""Performs or observes opens: `handler` for elevation, `thread_names` for GPU drivers, `path_observer` for
`nono learn`.
"""
