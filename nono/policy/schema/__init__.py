"""The shape of a profile file and every default. Pure.

`profile` holds the sections, `routes` and `commands` the larger entries, `unimplemented` the fields refused
for now. The other modules describe the shape: `constraints`, `descriptions`, `annotations`, `route_rules`.
"""
