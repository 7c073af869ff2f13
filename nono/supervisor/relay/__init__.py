"""Relays the terminal of a detached session to whoever attaches.

`pty` makes the terminal, `relay` copies between it and one viewer, `server` lets viewers in at the session's
socket. The relay copies and keeps nothing; it only follows the modes (nono.sessions.modes), which a viewer
that comes later is given.
"""
