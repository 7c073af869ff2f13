"""`nono report`, which looks back at sessions.

`command` parses and chooses, `session` reads what is known of one session, `html` makes the page of it,
`period` adds up many; `rules` resolves the policy by which a session is judged,
and `replay` judges it. `flows` opens the exchanges that were recorded, in `viewer`.
"""
