"""What becomes of a request. Pure: a parsed head goes in, a verdict with its reason comes out.

`dispatch` tells the ways apart and `intercepted` judges what is inside a CONNECT; both end in `judge`.
`verdict` has the values, `routes` and `login_table` the tables, `phantoms` and `login_phantoms` the
checks on tokens, `host_policy` and `browser_check` those on origins. `rewrite` writes heads anew and
injects, `audit_events` says what is recorded.
"""
