"""Show the terminal of a session in a person's terminal.

`attach`, and `front` (the process in front of `nono run`), lend the person's terminal (`own_terminal`, which
`guard` restores) to a `viewer`, for which `visit` asks the supervisor for its terminal. The viewer asks what
the supervisor wants to know (`questions`). `detach` makes the viewers leave.
"""
