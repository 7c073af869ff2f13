"""The commands about sessions. `chosen` finds the one that is meant, `talk` asks its supervisor.

`ps`, `inspect`, `logs`, `approvals`, `stop` and `prune` are one module each, `rules` is `nono allow` and
`nono deny`, which `save_rule` writes to a profile.
"""
