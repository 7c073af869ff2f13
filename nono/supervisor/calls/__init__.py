"""Performs connect and bind for the caller.

`trapped_command` is taken before the command starts. `trapped_call` fetches a caller's memory and sockets
once, `caller` and `caller_paths` its root and paths; `inet` and `unix` act; `held_connects` waits where a
backlog is full; `watchdog` interrupts a call that blocks.
"""
