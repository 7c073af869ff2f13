"""Judge trapped system calls. Pure.

`syscall_args`, `open_call`, `path_call` and `thread_name` parse copied arguments, `adjudicator`,
`own_servers`, `own_datagrams`, `route_netlink` and `open_verdict` judge them, `register_call` explains what
the seccomp program has judged itself. `dns_message` reads look-ups and `virtual_addresses` answers them.
`peer_registry` knows the proxy's clients, `audit_events` builds the events to record.
"""
