"""Supply AWS keys and sign requests with Signature Version 4."""
