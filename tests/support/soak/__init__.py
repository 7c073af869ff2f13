"""Minutes of every kind of client, good and bad, against a proxy, whose memory, files and tasks are counted.

Proxy, upstream and clients are processes of their own (worker), put together by stage. What came back is
compared with what was sent, byte for byte.
"""
