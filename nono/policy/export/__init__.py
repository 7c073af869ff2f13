"""A profile written out again: dump, difference, skeleton, JSON Schema, manifest. Pure."""
