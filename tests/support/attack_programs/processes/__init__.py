"""Act on other processes, on the command's own namespaces and limits, and through calls of another ABI."""
