"""Run servers on loopback: scripted ones that keep what they received byte for byte, and real programs.

Each is a context manager that yields once connections are accepted, and leaves nothing behind. Most tests
need http1.
"""
