"""Hosts: turns the network settings of flags and profile into the host filter. Pure.

`network_request` merges flags and profile, `host_rules` builds the `host_filter`, which judges a name before
DNS and each address after it.
"""
