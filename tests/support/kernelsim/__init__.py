"""Runs a command as on another kernel: an older Landlock, a listener that is taken, WSL2, no user namespaces.

The real kernel does the work, and only what the other one would not have or would refuse is simulated. A test
describes the kernel (kernel) and runs a command on it; command_line says which limits the simulation has.
"""
