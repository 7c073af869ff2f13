"""What nono trusts, kept from its command: `module_path` the code it loads, `trust_roots` certificates."""
