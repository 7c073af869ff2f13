"""Reach somebody through a socket: every family, call and kind of address, and races of two threads."""
