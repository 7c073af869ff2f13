"""Profile files on disk: found, validated in a fork, cached, loaded.

`store` loads a profile; `catalog` lists the available ones.
"""
