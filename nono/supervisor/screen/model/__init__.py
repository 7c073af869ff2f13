"""Model a terminal in a separate process, because it parses a hostile command's output.

`process` is started as a program and reads messages until the supervisor is gone; `confine` takes away
everything but that connection and memory. `ghostty` mirrors libghostty-vt, `terminal` drives one terminal of
it, and `picture` draws that.
"""
