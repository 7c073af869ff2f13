"""Files and Unix sockets: from paths in flags, profiles and groups to grants, denials and masks. Pure.

`resolve_files` is the top; `path_verdict` and `unix_sockets` answer for enforcement and `nono why` alike.
"""
