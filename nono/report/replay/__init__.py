"""Judges what a log holds by another policy, with the functions that `nono why` asks and that enforce.

`tried` takes the accesses out of the events, `judge` asks the policy about each, `compare` says what differs.
"""
