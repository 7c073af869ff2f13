"""Write a profile out: dump, difference, skeleton, JSON Schema, manifest. Pure."""
