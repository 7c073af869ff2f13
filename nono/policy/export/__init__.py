"""Writes a profile out again: dump, difference, skeleton, JSON Schema, manifest. Pure."""
