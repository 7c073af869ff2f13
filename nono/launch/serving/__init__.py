"""Serve a command, imported once it is starting, or before if it must be served at once.

`network` defines the values. `proxied` serves a run with a proxy, `unproxied` one without, `opens` its
trapped opens; `approver` opens the broker of approvals.
"""
