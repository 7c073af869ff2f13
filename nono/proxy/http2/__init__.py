"""HTTP/2, both ends.

`session` runs one connection with the h2 library behind the gate in `frames`; `connection` is the
client's end and `upstream` the upstream's, shared by the streams of one client through `upstreams`.
`exchange` carries one request, `relay` its response, `heads` translates heads, `downgrade` sends a
request on over HTTP/1.1.
"""
