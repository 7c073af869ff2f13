"""Add rules to the policy of a run while it goes on.

`rule` is one rule. `paths` applies rules to files, `endpoints` to requests, `ports` and `sockets` to what the
command connects to by itself, and nono.policy.hosts.live_hosts to hosts. `port_target` parses a port,
`saved_endpoint` writes the rule of an endpoint to a profile.
"""
