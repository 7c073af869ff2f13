"""Supervise the command and its system calls from outside.

`notify_loop` takes a trapped call off the seccomp listener and answers it; `calls` and `opens` ask `verdict`,
and carry out what it allows; `look_ups` answers the command's look-ups of names. `child` waits for the
command and forwards signals, `loop` runs the event loop with its housekeeping, `poll_loop` runs callbacks if
nothing else needs one, `job_stop` stops the command while a question is on its terminal, `private_network`
serves that of the rung netns, `cgroup` holds the limits, `terminal` keeps the terminal usable and `streams`
those of the caller, `abort` ends a run in order where libuv gives up, `relay` shows the terminal of a session
and `screen` keeps its picture, `watches` finds out if a loop can watch anything.
"""
