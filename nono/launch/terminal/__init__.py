"""Give a command its own terminal, and show it to the person who started the run.

`apart` forks the supervisor, and `front` talks to the process in front of it. `own_terminal` relays the
terminal while nothing else needs an event loop, `looped` on an event loop. nono.supervisor.relay admits
viewers.
"""
