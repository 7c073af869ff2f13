"""Supplies AWS keys and signs requests with Signature Version 4."""
