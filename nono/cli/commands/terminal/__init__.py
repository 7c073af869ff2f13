"""How a person's terminal shows the terminal of a session.

`attach` and `front` (the process in front of `nono run`) lend it (`own_terminal`, restored by `guard`) to a
`viewer`, which asks what the supervisor wants to know (`questions`); `detach` lets the viewers go.
"""
