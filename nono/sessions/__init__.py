"""Manage a person's sessions: one record on disk for every supervised run, written before its command starts.

`record` defines the file, `registry` writes it, `listing` finds all of them. `judge` decides what became of a
session whose supervisor is gone, `ends` why a command ended and who ended it. `query` finds the session that
a person means, `names` makes names, `stopping` ends a session from outside, `retention` says which sessions
are removed, `leftovers` which files are unused, `processes` reads /proc. `meeting` is the session's socket
and `wire` its protocol; `detach_key` and `modes` follow what a terminal sends and shows.
"""
