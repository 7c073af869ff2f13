"""Turn the requested network access into the host filter. Pure.

`host_rules` builds the `host_filter`, which judges a name before DNS and each `address` after it. `hostname`
normalises hosts, `endpoint_scope` has hosts with rules for paths, `no_proxy` what clients reach without the
proxy, `upstream` an origin with its base path, `proxy_settings` everything that is not a rule, `live_hosts`
changes of the rules during a run, `local_server` who is sent a key on this machine.
"""
