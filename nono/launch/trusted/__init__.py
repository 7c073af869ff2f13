"""Protect what nono trusts from its command: `module_path` the code it loads, `trust_roots` certificates."""
