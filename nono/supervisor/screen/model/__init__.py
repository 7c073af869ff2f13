"""Models a terminal in a process of its own, which parses what a hostile command writes.

`process` is started as a program of its own and reads messages until the supervisor is gone; `confine` takes
from it all but that connection and memory. `ghostty` mirrors libghostty-vt, `terminal` drives one terminal of
it, and `picture` draws that.
"""
