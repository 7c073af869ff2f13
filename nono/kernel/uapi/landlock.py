"""Mirror of <linux/landlock.h>: names, order and layouts as Linux 6.15 (Landlock ABI 7) has them.

The number in each trailing comment is the first ABI that knows the flag. Rights that a newer header adds
(ABI 8 and later) are absent on purpose: nono handles what it has tables and tests for.
"""

from __future__ import annotations

import struct

# struct landlock_ruleset_attr. The kernel takes any size from the first field on, and refuses a longer
# struct only when the part it does not know is not zero (E2BIG), hence one layout per generation.
RULESET_ATTR_FS = struct.Struct("=Q")  # 1: handled_access_fs
RULESET_ATTR_NET = struct.Struct("=QQ")  # 4: + handled_access_net
RULESET_ATTR_SCOPED = struct.Struct("=QQQ")  # 6: + scoped

# flags of landlock_create_ruleset(2)
LANDLOCK_CREATE_RULESET_VERSION = 1 << 0  # 1
LANDLOCK_CREATE_RULESET_ERRATA = 1 << 1  # backported at will, so it says nothing about the ABI

# flags of landlock_restrict_self(2): which denials go to the kernel's audit log
LANDLOCK_RESTRICT_SELF_LOG_SAME_EXEC_OFF = 1 << 0  # 7
LANDLOCK_RESTRICT_SELF_LOG_NEW_EXEC_ON = 1 << 1  # 7
LANDLOCK_RESTRICT_SELF_LOG_SUBDOMAINS_OFF = 1 << 2  # 7

# enum landlock_rule_type
LANDLOCK_RULE_PATH_BENEATH = 1  # 1
LANDLOCK_RULE_NET_PORT = 2  # 4

PATH_BENEATH_ATTR = struct.Struct("=Qi")  # allowed_access, parent_fd; packed, 12 bytes
NET_PORT_ATTR = struct.Struct("=QQ")  # allowed_access, port (host byte order)

LANDLOCK_ACCESS_FS_EXECUTE = 1 << 0  # 1
LANDLOCK_ACCESS_FS_WRITE_FILE = 1 << 1  # 1
LANDLOCK_ACCESS_FS_READ_FILE = 1 << 2  # 1
LANDLOCK_ACCESS_FS_READ_DIR = 1 << 3  # 1
LANDLOCK_ACCESS_FS_REMOVE_DIR = 1 << 4  # 1
LANDLOCK_ACCESS_FS_REMOVE_FILE = 1 << 5  # 1
LANDLOCK_ACCESS_FS_MAKE_CHAR = 1 << 6  # 1
LANDLOCK_ACCESS_FS_MAKE_DIR = 1 << 7  # 1
LANDLOCK_ACCESS_FS_MAKE_REG = 1 << 8  # 1
LANDLOCK_ACCESS_FS_MAKE_SOCK = 1 << 9  # 1
LANDLOCK_ACCESS_FS_MAKE_FIFO = 1 << 10  # 1
LANDLOCK_ACCESS_FS_MAKE_BLOCK = 1 << 11  # 1
LANDLOCK_ACCESS_FS_MAKE_SYM = 1 << 12  # 1
LANDLOCK_ACCESS_FS_REFER = 1 << 13  # 2
LANDLOCK_ACCESS_FS_TRUNCATE = 1 << 14  # 3
LANDLOCK_ACCESS_FS_IOCTL_DEV = 1 << 15  # 5

LANDLOCK_ACCESS_NET_BIND_TCP = 1 << 0  # 4
LANDLOCK_ACCESS_NET_CONNECT_TCP = 1 << 1  # 4

LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET = 1 << 0  # 6
LANDLOCK_SCOPE_SIGNAL = 1 << 1  # 6

# System call numbers, the same on every machine (they came after the tables were united).
NR_LANDLOCK_CREATE_RULESET = 444
NR_LANDLOCK_ADD_RULE = 445
NR_LANDLOCK_RESTRICT_SELF = 446
