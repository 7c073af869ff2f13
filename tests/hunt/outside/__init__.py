"""What must see nothing: `stage` is the machine, `neighbour` the user's other programs.

`canaries` and `shared` are what those have, `victim` looks at processes and what is left, `place` at all of
it; `sights` compares two looks.
"""
