"""`nono report`: look back at sessions.

`command` parses and chooses. `session` reads what is known of one session and `html` makes its page; `period`
adds up many sessions. `rules` resolves the policy by which a session is judged, and `replay` judges it.
`flows` opens the recorded exchanges in `viewer`.
"""
