"""The commands, one module each; `run(argv)` executes one and returns its exit status."""
