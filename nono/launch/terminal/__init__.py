"""Gives a command a terminal of its own, and shows it to whoever has started the run.

`front` forks the supervisor and speaks with the process in front of it, `own_terminal` relays the terminal as
long as nothing else needs an event loop, `looped` on one. Viewers are let in by nono.supervisor.relay.
"""
