"""Rules that are laid over a policy while its run goes on: `rule` is one, `paths`
judges files by them, `endpoints` requests, `ports` and `sockets` what the command connects to by itself.

Those of hosts are in nono.policy.hosts.live_hosts.
"""
