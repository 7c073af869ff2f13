"""Carry out one allowed request, from admission to the end of its response.

`delivery` has the order of the steps; `attempt` has the steps that it shares with `login`, the exchange with
a login's token endpoint. `admission` decides when the request may go (approval, rate limit, credential), then
the tripwire is armed, the credential written, the event recorded and a connection taken. `http1` sends the
request, and `relay` returns the response through the `filter` that `inspection` puts together, which searches
it for the secret. `context` holds the state that all connections share and freezes a credential that leaked,
`held` counts the bodies in memory, `tally` holds a request's turn under a token limit, `course` records how
the request ended, `shown` builds the view of the request that an approver sees, and `client_side` defines the
interface to the client's connection.
"""
