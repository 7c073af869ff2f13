"""Speak HTTP/2 with clients and upstreams.

`protocol` keeps the state of a connection, `session` runs one on a transport, fed by `intake`; `connection`
is the client side and `upstream` the upstream side, with an `upstream_stream` for each request, shared by the
streams of one client through `upstreams` within `places`. `owed` bounds what waits to be read. `exchange`
carries one request, `relay` its response, `heads` translates heads, `downgrade` forwards a request over
HTTP/1.1.
"""
