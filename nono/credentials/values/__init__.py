"""Describes credentials as values: references, shapes, injection, the tripwire. Pure."""
