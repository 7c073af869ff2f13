"""Relays the terminal of a session to those who attach.

`pty` makes the terminal, `relay` copies between its `command_end` and each `viewer`, `server` lets viewers in
at the session's socket. `poll_loop` runs a relay where nothing else needs an event loop. The relay copies and
keeps nothing; it only follows the modes (nono.sessions.modes), which a viewer that comes later is given.
"""
