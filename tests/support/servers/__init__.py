"""Servers on loopback: scripted ones that keep what reached them byte for byte, and real programs.

Each is a context manager that yields once connections are accepted, and leaves nothing behind. http1 is the
one that most tests need.
"""
