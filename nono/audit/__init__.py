"""Keep the append-only log of decisions.

`event` has the events in the order that is hashed, with `credential_events`, `model_events` and `outcomes` of
requests; `repeats` says which must be in the log. `chain` has the leaf and chain hashes, `ledger` the file:
appended before the action, synchronised after. `broadcast` passes written events on, `traffic` adds up the
requests among them. `stored` opens what is left of a session, `reading` reads its records back. `dedup`
records repeated refusals as one and counts them in `windows`, `redact` removes secrets from command lines.
`proof` proves a session that has ended.
"""
