"""Judge the methods and paths that may be requested from a host. Pure."""
