"""Grant what the system has for every program: directories, entries of /etc, on request its GPUs. Pure."""
