"""Approval by somebody outside the sandbox: a person at the terminal, or a webhook.

`broker` takes the questions (`request`), `backends` routes them to `terminal` or `webhook`, and
`audit_events` words them for the log.
"""
