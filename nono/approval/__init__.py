"""Approval by somebody outside the sandbox: a person at the terminal, or a webhook.

`broker` takes the questions (`request`): it records them, asks once about the same thing, and says no in
doubt. `backends` routes them to `terminal`, which asks through `ask` with `tty` holding the terminal, or to
`webhook`, whose messages are in `webhook_message`. `wording` turns a question into lines that nothing in it
can forge, `audit_events` builds the events to record. `notices` tells a desktop of open questions, through
`desktop`.
"""
