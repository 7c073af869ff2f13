"""Rules that are laid over a policy while its run goes on: `rule` is one, `paths`
judges files by them and `endpoints` requests.

Those of hosts are in nono.policy.hosts.live_hosts.
"""
