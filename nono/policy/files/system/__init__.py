"""Grant what the system has for every program: the entries of /etc, and on request its GPUs. Pure."""
