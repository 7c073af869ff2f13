"""What every room does with files on a disk: `durable` writes them whole or not at all, `root_places` finds
OpenSSL's root certificates.
"""
