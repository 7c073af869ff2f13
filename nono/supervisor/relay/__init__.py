"""Relay the terminal of a session to those who attach.

`pty` makes the terminal, `relay` copies between its `command_end` and each `viewer`, `server` lets viewers in
at the session's socket. They run on nono.supervisor.poll_loop as well. The relay copies; it
follows the modes (nono.sessions.modes), and keeps the end of the output for what draws the screen for who
attaches later (nono.supervisor.screen). `recording` writes down what was shown, as `cast` has it, where a
person wants that.
"""
