"""The credential proxy: who may be reached, and with which credential.

Read it from the outside in: `server` listens, `service` admits connections, and a connection passes
through `client` (HTTP/1.1, CONNECT, interception) or `http2`, is judged in `verdict`, carried out in
`exchange`, and leaves through `upstream`. `http` holds the checked values of the wire, `tls` the
session's CA, `handshake` the first bytes of a client, `transport` what any connection needs, `flows` and
`usage` what is recorded and counted. `child_env` says how the clients inside find the proxy.
"""
