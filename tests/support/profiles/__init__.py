"""Profiles and resolved policies to ask about: one that uses every field, and the resolved shipped ones."""
