"""Mirror of <linux/mount.h> and the related parts of <linux/fcntl.h> and <linux/stat.h>.

Layouts and values as Linux 6.12 has them; the comment beside a flag is the first kernel that accepts it.
"""

from __future__ import annotations

import struct

# <linux/fcntl.h>
AT_EMPTY_PATH = 0x1000  # 2.6.39
AT_SYMLINK_NOFOLLOW = 0x100  # 2.6.16
AT_RECURSIVE = 0x8000  # 5.2

# <linux/mount.h>
MS_PRIVATE = 1 << 18  # 2.6.15
MNT_DETACH = 2  # 2.4.11; <sys/mount.h>
OPEN_TREE_CLONE = 1  # 5.2
OPEN_TREE_CLOEXEC = 0o2000000  # 5.2: O_CLOEXEC
MOVE_MOUNT_F_EMPTY_PATH = 0x00000004  # 5.2
MOVE_MOUNT_T_EMPTY_PATH = 0x00000040  # 5.2
FSOPEN_CLOEXEC = 1  # 5.2
FSCONFIG_SET_STRING = 1  # 5.2
FSCONFIG_CMD_CREATE = 6  # 5.2
FSMOUNT_CLOEXEC = 1  # 5.2
MOUNT_ATTR_RDONLY = 0x00000001  # 5.2
MOUNT_ATTR_NOSUID = 0x00000002  # 5.2
MOUNT_ATTR_NODEV = 0x00000004  # 5.2
MOUNT_ATTR_NOEXEC = 0x00000008  # 5.2
MOUNT_ATTR = struct.Struct("=QQQQ")  # 5.12: attr_set, attr_clr, propagation, userns_fd

# <linux/stat.h>
STATX_TYPE = 0x00000001  # 4.11
STATX_MODE = 0x00000002  # 4.11
STATX_ATTR_MOUNT_ROOT = 0x00002000  # 5.8
STATX = struct.Struct("=8xQ12xH226x")  # stx_attributes, stx_mode
