"""What `--json` prints, as JSON Schema: one shape for each command.

Begin with `table`, which names them all. `printed` has each object say the version of its shape.
"""
