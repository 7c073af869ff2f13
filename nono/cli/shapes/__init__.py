"""Describe the output of `--json` as JSON Schema, with one shape for each command.

Begin with `table`, which lists all shapes. `printed` adds the version of its shape to each object.
"""
