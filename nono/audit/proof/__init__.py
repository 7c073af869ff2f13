"""Prove a session once it has ended: its summary, the ledger of all sessions, a signature.

Read `summary` first: session.json, and the digest of it. `entries` holds the lines of the ledger and their
chain, `ledger` appends to it under its lock, `conclusion` does both when a session ends. `history` reads the
ledger back, `verdict` compares all of it with the log, and `check` reads what it compares.
`attestation` signs a summary.
"""
