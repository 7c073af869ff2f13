"""Rules that are laid over a policy while its run goes on: `rule` is one, `paths`
judges files by them, `endpoints` requests, `ports` and `sockets` what the command connects to by itself.

`rule` is one rule, `paths` applies rules to files and `endpoints` to requests; nono.policy.hosts.live_hosts
applies rules to hosts.
"""
