"""Run a command as if on another kernel: older Landlock, a taken listener, WSL2, no user namespaces.

The real kernel does the work. Only what the other kernel would lack or refuse is simulated. A test describes
the kernel (kernel) and runs a command on it; command_line lists the limits of the simulation.
"""
