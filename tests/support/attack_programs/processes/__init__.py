"""What a command does to other processes, to its own namespaces and limits, and by calls of another ABI."""
