"""Serve a command, imported once it is starting, or before if it must be served at once.

`network` defines the values. `proxied` serves a run with a proxy, `private_network` that of the rung netns,
`unproxied` one without a proxy, `opens` its trapped opens; `approver` opens the broker of approvals.
"""
