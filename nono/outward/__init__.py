"""What leaves this machine about a session: its records in the formats of others, and its head, anchored.

`carrier` is the process beside a run (ADR 52), as `orders` say. `tail` reads records while the log grows.
`ocsf` makes a document of each, `otlp` sends it, `shipment` remembers in `spool` what was sent. `head` is
what an anchor vouches for: `anchoring` asks an authority by `rfc3161` or signs an `attestation`, `anchors`
keeps what came of it, and `verification` compares that with the log. `cose` is a head in another form, and
`events` is what the log says of all this.
"""
