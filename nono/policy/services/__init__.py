"""Resolve credential services and captured logins: where a key comes from and goes, and who approves. Pure.

Start with `credential_service`. `custom_credential`, `capture_entry`, `env_credential` and `oauth_routes`
read entries of a profile; `env_names` names variables, `key_slot` finds a key in a request target,
`key_reach` refuses grants that reach one. `minting` recognises requests for further keys, `draining` names
upstreams that read each request to its end, `regex_cost` refuses slow expressions. `rate_limit` and
`approval` are conditions of a route; `environment_rules` keeps the caller's keys out of the command's
environment.
"""
