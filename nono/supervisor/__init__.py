"""Supervise the command and its system calls from outside.

`notify_loop` takes a trapped call off the seccomp listener and answers it; `calls` and `opens` ask `verdict`,
and carry out what it allows; `look_ups` answers the command's look-ups of names, and `private_network` serves
the network of the rung netns.

`child` waits for the command and forwards signals. `loop` runs the event loop with its housekeeping,
`poll_loop` runs callbacks if nothing else needs one, `watches` finds out if a loop can watch anything, and
`abort` ends a run in order where libuv gives up. `limits` puts the command into a cgroup with its limits.

`terminal` keeps the caller's terminal usable and `streams` the caller's streams, `job_stop` stops the command
while a question is on its terminal, `relay` shows the terminal of a session and `screen` keeps its picture.
"""
