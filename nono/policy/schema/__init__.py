"""The shape of a profile file, and the home of its defaults. Pure.

`profile` holds the sections, `routes` and `commands` the larger entries, each with its defaults,
`unimplemented` the fields refused for now. The other modules describe the shape: `constraints`,
`descriptions`, `annotations`, `route_rules`.
"""
