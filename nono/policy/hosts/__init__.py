"""Hosts: turns what was asked of the network into the host filter. Pure.

`host_rules` builds the `host_filter`, which judges a name before DNS and each `address` after it.
`hostname` gives one spelling per host, `endpoint_scope` has hosts with rules for paths, `no_proxy` what
clients reach without the proxy, `upstream` an origin with its base path, `proxy_settings` what is no rule.
"""
