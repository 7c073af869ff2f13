"""Perform connect and bind for the caller.

`trapped_command` is taken before the command starts. `trapped_call` fetches a caller's memory and sockets
once, `caller` and `caller_paths` its root and paths; `answers` ends its wait, `handover` with a descriptor;
`inet`, `unix` and `route_netlink` act, with `own_servers` and `own_sockets` for what the command itself
serves; `own_datagrams` hands out UDP sockets; `held_connects` waits while a backlog is full; `watchdog`
interrupts a call that blocks.
"""
