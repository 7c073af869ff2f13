"""Where real secrets are read, and the only place where their values are seen."""
