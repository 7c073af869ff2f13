"""Serve the network in which a command on the rung netns is alone.

`sockets` gets sockets made there, `port_relay` relays granted ports, `looked_up_hosts` answers look-ups and
listens at the addresses that these give.
"""
