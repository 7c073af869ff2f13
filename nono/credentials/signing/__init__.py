"""Sign with private keys.

`key` signs with one, `keystore` makes, stores and finds them, `public` keeps their public halves.
"""
