"""Hold the texts that a person reads, as lines or JSON. Pure."""
