"""Share code among the tests of credentials.

environments are fixtures: a home with a keyring, without one, and with one that hangs. sigv4 makes requests
to AWS and calculates the signature that each should have arrived with.
"""
