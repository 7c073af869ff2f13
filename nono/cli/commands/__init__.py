"""Hold the commands, one module each. `run(argv)` executes a command and returns its exit status."""
