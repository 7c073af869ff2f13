"""Mirror the Linux interfaces that nono enforces with, typed, one module for each man page or header.

`uapi` has constants and layouts, `libc` calls by number. `landlock` and `landlock_rights` wrap landlock(7);
`seccomp`, `notify` and `filters` wrap seccomp(2) and seccomp_unotify(2). The names of the other modules say
what they wrap.
"""
