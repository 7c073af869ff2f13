"""Turn paths in flags, profiles and groups into grants, denials and masks of files and Unix sockets. Pure.

`resolve_files` is the entry point; `path_verdict` and `unix_sockets` serve both enforcement and `nono why`.
"""
