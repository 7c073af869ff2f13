"""AWS keys and Signature Version 4."""
