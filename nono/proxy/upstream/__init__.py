"""The way to an upstream.

`connector` judges, resolves once, vets and records; `dial` opens the socket and verifies TLS;
`connection` reads one response at a time; `pool` keeps connections between requests; `fetch` is a request
in the proxy's own name.
"""
