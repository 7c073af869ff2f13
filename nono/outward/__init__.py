"""Send data about a session to others: its records in standard formats, and anchors of its log's head.

`carrier` is the process beside a run (ADR 52), configured by `orders`. `tail` reads records while the log
grows. `ocsf` converts each to a document, `otlp` sends it, `shipment` records in `spool` what was sent.
`head` is what an anchor vouches for: `anchoring` asks an authority by `rfc3161` or signs an `attestation`,
`anchors` stores the results, and `verification` compares them with the log. `cose` is another form of a head,
and `events` are the audit events about all this.
"""
