"""Keep a picture of a session's screen for terminals that attach later.

`screen` takes the output that the relay copies, and lets a separate process follow it: `backlog` holds what
that process has not read yet, `messages` is the protocol between them, `started` starts it. The process runs
`model`, confined and without keys, because it parses a hostile command's output; `library` finds the library
for that.
"""
