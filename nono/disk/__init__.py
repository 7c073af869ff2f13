"""What every room does with files on a disk: `durable` writes them whole or not at all, `json_text` has the
JSON in them, `root_places` finds OpenSSL's root certificates.
"""
