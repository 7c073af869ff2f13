"""One allowed request, from admission to the end of its response.

`context` holds the state that all connections share, `admission` decides when a request may go (approval,
rate limit, credential), `attempt` orders the steps, `http1` sends the request, `relay` returns the response
after `inspection` and `response_filter` have searched it. `login` is the exchange with the token endpoint of
a login.
"""
