"""Run the credential proxy: decide which hosts the command may reach, and add the credentials.

Read it from the outside in: `server` serves what `listener` has bound, with the settings in `config`,
`service` admits connections, and a connection passes through `client` (HTTP/1.1, CONNECT, interception) or
`http2`, is judged in `verdict`, carried out in `exchange`, and leaves through `upstream`. `http` holds the
checked wire values, `tls` the session's CA, `handshake` the parsers of a client's first bytes, `transport`
the parts every connection needs, `flows` the recordings and `usage` the token counts. `conversation`
recognises turns. `child_env` tells the clients inside where the proxy is; `token_post` requests access tokens
for credentials.
"""
