"""Typed mirrors of the Linux interfaces that nono enforces with, one module per man page or header.

`uapi` has constants and layouts, `libc` calls by number. `landlock` and `landlock_rights` are landlock(7),
`seccomp`, `notify` and `filters` are seccomp(2) and seccomp_unotify(2); `namespaces`, `clone`, `mounts`,
`capabilities`, `process`, `signals`, `inotify`, `open_path` and `socket_names` are named for what they
wrap.
"""
