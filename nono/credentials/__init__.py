"""Read secrets. No other package may see the text of one.

`load` reads the credential of each service of a run through `resolver` and the `sources`, and makes a
`phantom` for it, whose end `phantom_ends` keeps the same in every run; `env_credentials` reads those the
command itself may hold; `run_references` checks both before anything is read. `values` describes credentials,
without I/O. `static` never changes; `oauth2`, `aws`, `capture` and `logins` are renewed, and `renewal` and
`single_flight` fetch for them. `helpers` runs other programs, `store` is the embedded store, `mask` removes
secrets from text that is recorded. `signing` signs with private keys.

A new source is a module in `sources`, a case in `resolver`, and a scheme in `values.reference`.
"""
