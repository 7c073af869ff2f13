"""Serve the control interface of a session: HTTP on its Unix socket, described in docs/control.md.

`take_over` passes a connection that nono.supervisor.relay.server accepted to aiohttp, which is imported for
the first one. `application` has the routes, `events` the event stream of one client, `summary` the document
about the session.
"""
