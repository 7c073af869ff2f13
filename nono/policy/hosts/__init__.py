"""Hosts: from what was asked of the network to the host filter. Pure.

`network_request` unites flags and profile, `host_rules` makes the `host_filter`, which judges a name
before DNS and each address after it.
"""
