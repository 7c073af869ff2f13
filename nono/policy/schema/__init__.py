"""Define the fields of a profile file and their defaults. Pure.

`profile` holds the sections, `routes` and `commands` the larger entries, each with its defaults,
`unimplemented` the fields refused for now. `build` fills them from a document, by `frozen_shapes`, which
`freeze` writes. The other modules describe the fields: `constraints`, `descriptions`, `annotations`,
`route_rules`.
"""
