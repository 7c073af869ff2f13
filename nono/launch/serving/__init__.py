"""What is served beside a command, imported once that is starting or if it must be served before it starts.

`network` has the values. `proxied` serves a run with a proxy, `unproxied` one without, `opens` the opens that
are trapped; `approver` opens the broker of approvals.
"""
