"""Methods and paths that may be requested of a host. Pure."""
