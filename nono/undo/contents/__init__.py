"""Keep the contents of files by digest: `store` those of one session, in `packs` that sessions share.

`zstandard` is the library that compresses them.
"""
