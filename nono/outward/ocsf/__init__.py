"""Audit events as documents of the Open Cybersecurity Schema Framework 1.8, one for each record.

`projection` makes the document of a record, with the whole event and its place in the chain. What an event
becomes is said by `network` (4001, 4002, 6003) and `session` (1001, 1007, 2004, 5019, 6002); `parts` has the
objects they share.
"""
