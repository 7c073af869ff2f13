"""Ask for approval outside the sandbox: a person at the terminal, or a webhook.

`broker` takes each question (`request`), records it, asks identical questions once, and answers no in doubt.
`backends` passes it on to `terminal` (which uses `ask`, and `tty` for the terminal itself), `viewer_terminal`
or `webhook` (messages in `webhook_message`). `wording` renders a question so that no value in it can forge a
line, `audit_events` builds the events to record. `open_questions` and `listing` let other processes see and
answer questions. `notices` shows them on a desktop through `desktop`.
"""
