"""Mirror of <linux/unix_diag.h>: the file that a Unix socket is bound to, as Linux has it since 3.3."""

from __future__ import annotations

import struct

UDIAG_SHOW_VFS = 2
UNIX_DIAG_VFS = 1

# struct unix_diag_req: family, protocol, pad, states, ino, show, cookie.
UNIX_DIAG_REQ = struct.Struct("=BBHIII2I")
UNIX_DIAG_MSG_BYTES = 16  # struct unix_diag_msg
NLATTR = struct.Struct("=HH")  # struct nlattr of <linux/netlink.h>: length, type
UNIX_DIAG_VFS_BODY = struct.Struct("=II")  # struct unix_diag_vfs: inode, device
MINORBITS = 20  # of the device, which is the kernel's own dev_t (include/linux/kdev_t.h)
