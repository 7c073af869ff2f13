"""One allowed request, there and back.

`context` holds what all connections share, `admission` decides when a request may go (approval, rate
limit, credential), `http1` sends it, `inspection` and `response_filter` look at the response that `relay`
passes on. `login` is the exchange with a host where logins get their tokens.
"""
