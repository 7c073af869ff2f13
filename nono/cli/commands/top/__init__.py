"""`nono top`: show all sessions on one screen (`screen`, `questions`) or one web page (`web`, `page/`).

`command` reads the arguments. `look` finds out the state of the sessions, and `acts` stops them, answers
their questions and attaches to them. Only `screen` and `questions` import textual.
"""
