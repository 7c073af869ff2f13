"""Give a run caches of its own, except where settings of the project name one. Pure.

`caches` is the entry point; `project_settings` reads those settings.
"""
