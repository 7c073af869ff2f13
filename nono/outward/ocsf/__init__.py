"""Convert audit events to documents of the Open Cybersecurity Schema Framework 1.8, one for each record.

`projection` builds a record's document, with the whole event and its place in the chain. `network` (4001,
4002, 6003) and `session` (1001, 1007, 2004, 5019, 6002) map the kinds of events; `parts` has the objects they
share.
"""
