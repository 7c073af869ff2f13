"""Mirror of <linux/fcntl.h>, <linux/openat2.h> and <linux/magic.h>: the parts for opening a file by path.

Only flags that are the same on every machine; for the others use the os module, built for this machine.
"""

from __future__ import annotations

import struct

# <asm-generic/fcntl.h>
O_ACCMODE = 0o3
O_RDONLY = 0o0
O_WRONLY = 0o1
O_CREAT = 0o100
O_EXCL = 0o200
O_TRUNC = 0o1000
O_CLOEXEC = 0o2000000
O_PATH = 0o10000000  # 2.6.39

# <linux/fcntl.h>; an int, so that both 0xFFFFFF9C and 0xFFFFFFFFFFFFFF9C in a register are it
AT_FDCWD = -100

# <linux/openat2.h>, 5.6
OPEN_HOW = struct.Struct("=QQQ")  # flags, mode, resolve
OPEN_HOW_SIZE_VER0 = 24
RESOLVE_NO_XDEV = 0x01
RESOLVE_NO_MAGICLINKS = 0x02
RESOLVE_NO_SYMLINKS = 0x04
RESOLVE_BENEATH = 0x08
RESOLVE_IN_ROOT = 0x10
RESOLVE_CACHED = 0x20  # 5.12

# <linux/limits.h>
PATH_MAX = 4096  # with the NUL behind it

# <linux/magic.h>
PROC_SUPER_MAGIC = 0x9FA0
