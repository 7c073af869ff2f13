"""Read, write and find files for every room.

`regular_file` reads one, `descriptor` reads and writes an open one, `file_lock` waits for its lock, `durable`
writes one whole or not at all, `tree` removes one of directories, `json_text` writes and reads JSON,
`root_places` finds OpenSSL's root certificates, `resolv_conf` the name servers, `hosts_file` the names that
need none, `user_ids` whose a user id is.
"""
