"""Supervises the command and its system calls from outside.

`notify_loop` takes a trapped call off the seccomp listener, `verdict` judges it, `calls` and `opens` carry
the verdict out. `child` waits for the command and forwards signals, `loop` keeps the event loop's
housekeeping, `job_stop` stops the command while a question is on its terminal, `port_relay` relays granted
ports, `cgroup` holds the limits.
"""
