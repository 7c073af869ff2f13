"""What leaves this machine about a session: its records in the formats of others, and its head, anchored.

`carrier` is the process beside a run (ADR 52), as `orders` say. `links` reads records and checks their chain,
`tail` does so while the log grows. `ocsf` makes a document of each, `otlp` sends it, `shipment` remembers in
`spool` what was sent. `head` is what an anchor vouches for, `rfc3161` asks an authority, `anchors` keeps what
it answered, and `verification` compares that with the log. `events` is what the log says of all this.
"""
