"""The texts a person reads, as lines or JSON. Pure."""
