"""Mirror of <linux/inotify.h>. Layouts and values as Linux 6.12 has them."""

from __future__ import annotations

import struct

IN_CLOEXEC = 0o2000000  # O_CLOEXEC
IN_NONBLOCK = 0o4000  # O_NONBLOCK
IN_MODIFY = 0x00000002
IN_ATTRIB = 0x00000004
IN_CLOSE_WRITE = 0x00000008
IN_MOVED_FROM = 0x00000040
IN_MOVED_TO = 0x00000080
IN_CREATE = 0x00000100
IN_DELETE = 0x00000200
IN_Q_OVERFLOW = 0x00004000
IN_IGNORED = 0x00008000
IN_ISDIR = 0x40000000
IN_ONLYDIR = 0x01000000
IN_DONT_FOLLOW = 0x02000000
EVENT = struct.Struct("=iIII")  # struct inotify_event: wd, mask, cookie, len; the name follows
