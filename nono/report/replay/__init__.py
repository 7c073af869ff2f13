"""Judge the accesses in a log by another policy, with the functions behind `nono why` and enforcement.

`tried` extracts the accesses from the events, `judge` asks the policy about each, `compare` lists
differences.
"""
