"""The control interface of a session: HTTP on its Unix socket, described in docs/control.md.

`take_over` gives a connection that nono.supervisor.relay.server let in to aiohttp, which is imported then.
`application` has the routes, `events` the stream of one reader, `summary` what is said of a session.
"""
