"""Keeps a picture of the screen of a session, for a terminal that attaches later.

`screen` takes what the relay copies, and has a process of its own follow it: `backlog` holds what that has
not read yet, `messages` is what the two say, `started` starts it. The process lives in `model`, without keys
and confined, since it parses what a hostile command writes; `library` finds what it parses with.
"""
