"""Read credentials from the places that can hold one, one module per source.

`manager` runs the programs of password managers for them.
"""
