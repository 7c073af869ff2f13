"""Speak HTTP/2 with clients and upstreams.

`session` runs one connection with the h2 library behind the gate in `frames`, fed by `intake`; `connection`
is the client side and `upstream` the upstream side, shared by the streams of one client through `upstreams`
within `places`. `exchange` carries one request, `relay` its response, `heads` translates heads, `downgrade`
forwards a request over HTTP/1.1.
"""
