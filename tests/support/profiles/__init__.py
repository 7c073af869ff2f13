"""Profiles and resolved policies to ask about: one that says everything, and what shipped ones come to."""
