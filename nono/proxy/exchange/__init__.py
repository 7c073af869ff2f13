"""One allowed request, from admission to the end of its response.

`delivery` has the order of the steps, of which `attempt` has those that a login's token endpoint takes too
(`login`): `admission` decides when the request may go (approval, rate limit, credential), the tripwire is
armed, the credential written, the event recorded, a connection taken. `http1` sends the request, `relay`
returns the response after `inspection` and `response_filter` have searched it for the secret;
`message_ends` tells them which messages wait for nothing. `context` holds the state that all connections
share and freezes a credential that leaked, `held` counts the bodies in memory, `tally` holds a request's
turn under a limit of tokens, `course` records how it ended, `shown` is what whoever approves sees of it,
`client_side` is what an exchange asks of its client.
"""
