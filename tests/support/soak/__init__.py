"""Run every kind of client, good and bad, for minutes against a proxy, counting its memory, files and tasks.

Proxy, upstream and clients are separate processes (worker), which stage puts together. What came back is
compared with what was sent, byte for byte.
"""
