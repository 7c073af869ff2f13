"""Hold the commands about sessions. `chosen` finds the requested session, `talk` asks its supervisor.

`ps`, `inspect`, `logs`, `approvals`, `stop` and `prune` are one module each; `watching` shows `ps` as it
changes, `following` a log as it grows. `rules` is `nono allow` and `nono deny`, and `save_rule` writes their
rules to a profile.
"""
