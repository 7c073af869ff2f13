"""`nono top`: all sessions on one screen (`screen`, its `questions`) or one page (`web`, what is in `page/`).

`command` reads the arguments, `look` finds out how the sessions are, `acts` stops one, answers and attaches.
textual is imported by `screen` and `questions`, for the screen alone.
"""
