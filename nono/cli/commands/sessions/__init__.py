"""The commands about sessions. `chosen` finds the one that is meant, `talk` asks its supervisor.

`attach` lends the terminal (`own_terminal`) to a `viewer`; `ps`, `inspect`, `logs`, `detach`, `stop` and
`prune` are one module each.
"""
