"""The shape of a profile file, and every default. Pure.

`profile` has the sections, `routes` and `commands` the larger entries, `unimplemented` what is refused
for now. The others describe the shape: `constraints`, `descriptions`, `annotations`, `route_rules`.
"""
