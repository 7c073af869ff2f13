"""Write and find files for every room.

`durable` writes a file whole or not at all, `json_text` writes and reads JSON, `root_places` finds OpenSSL's
root certificates.
"""
