"""The sessions of a person: one record on disk for every supervised run, from before its command starts.

`record` is what the file holds, `registry` writes it, `listing` finds them all. `judge` says what became of a
session whose supervisor no longer can, `ends` why a command ended and who ended it. `query` finds the session
that a person means, `names` makes names, `stopping` ends a session from outside, `retention` says which are
forgotten, `leftovers` what nobody uses any more, `processes` reads /proc.
"""
