"""What the tests of credentials share.

environments are fixtures: a home with a keyring, without one, and with one that hangs. sigv4 makes requests
to AWS and calculates the signature that each should have come with.
"""
