"""Find, validate (in a fork), cache and load profile files.

`store` loads a profile; `catalog` lists the available ones.
"""
