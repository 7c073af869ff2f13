"""Ways to reach somebody with a socket: every family, call and kind of address, and races of two threads."""
