"""Manage connections to upstreams.

`connector` judges, resolves once, vets and records; `lookups` resolves names in its own threads; `dial` opens
the socket and verifies TLS, in the `contexts` and with the client's `identity`; `connection` reads one
response at a time; `pool` keeps connections between requests; `fetch` sends the proxy's own requests.
"""
