"""Files and Unix sockets: turns paths in flags, profiles and groups into grants, denials and masks. Pure.

`resolve_files` is the top; `path_verdict` and `unix_sockets` answer both enforcement and `nono why`.
"""
