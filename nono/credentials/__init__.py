"""Reads secrets; no other package may.

`load` reads the credential of each service of a run through `resolver` and the `sources`, and makes a phantom
for it. `values` describes credentials, without I/O. `oauth2`, `aws`, `capture` and `logins` are credentials
that are renewed; `renewal` and `single_flight` fetch for them. `helpers` runs other programs, `store` is the
embedded store, `mask` removes secrets from text that is recorded. A new source goes to `sources` and is named
in `values.reference`.
"""
