"""Where a credential can be kept: one module a source."""
