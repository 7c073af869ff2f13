"""`nono audit`: `command` parses, `found` finds the sessions with a log, and each action has its own module.

`listing` is `nono audit list`; `export` writes logs in the formats of other tools, and `sending` sends them;
`delivery` is `nono audit status` and `nono audit sync`.
"""
