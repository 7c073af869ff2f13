"""Mirror of <linux/prctl.h>, <linux/pidfd.h>, <linux/sched.h>, <linux/socket.h>, <net/if.h> and more.

Layouts and values as Linux 6.12 has them; the comment beside a flag is the first kernel that accepts it.
"""

from __future__ import annotations

import struct

# <linux/prctl.h>
PR_SET_PDEATHSIG = 1
PR_GET_PDEATHSIG = 2
PR_GET_DUMPABLE = 3
PR_SET_DUMPABLE = 4
PR_SET_CHILD_SUBREAPER = 36  # 3.4
PR_GET_CHILD_SUBREAPER = 37  # 3.4
PR_SET_NO_NEW_PRIVS = 38  # 3.5
PR_GET_NO_NEW_PRIVS = 39  # 3.5

# <linux/pidfd.h>
PIDFD_THREAD = 0o200  # 6.9: O_EXCL; the descriptor is the thread's and not its group leader's

# <linux/sched.h>
CLONE_PARENT = 0x00008000  # 2.3.13
CLONE_NEWNS = 0x00020000  # 2.4.19
CLONE_NEWIPC = 0x08000000  # 2.6.19
CLONE_NEWUSER = 0x10000000  # 3.8
CLONE_NEWPID = 0x20000000  # 2.6.24
CLONE_NEWNET = 0x40000000  # 2.6.24

# <linux/binfmts.h>
BINPRM_BUF_SIZE = 256  # 5.1, 128 before: what execve(2) reads of a script's first line

# <linux/uio.h>
IOVEC = struct.Struct("@PN")  # iov_base, iov_len

# <linux/socket.h>: the values that filters compare
AF_UNIX = 1
AF_INET = 2
AF_INET6 = 10
AF_NETLINK = 16
NETLINK_ROUTE = 0
SOCK_STREAM = 1
SOCK_DGRAM = 2
SOCK_RAW = 3
SOCK_TYPE_MASK = 0xF  # <linux/net.h>, not exported: the rest of type is SOCK_NONBLOCK and SOCK_CLOEXEC
IPPROTO_IP = 0  # "the default protocol of this type"
IPPROTO_TCP = 6
IPPROTO_UDP = 17
MSG_FASTOPEN = 0x20000000  # 3.6: connects and sends in one call

# <linux/fcntl.h>: commands of fcntl(2)
F_SETLEASE = 1024
F_SETDELEG = 1040  # 6.19: of directories too

# <asm-generic/mman-common.h>
PROT_EXEC = 4

# <linux/resource.h>: the "which" argument of setpriority(2)
PRIO_PROCESS = 0
PRIO_PGRP = 1
PRIO_USER = 2

# <linux/ioprio.h>, enumerators: the "which" argument of ioprio_set(2)
IOPRIO_WHO_PROCESS = 1
IOPRIO_WHO_PGRP = 2
IOPRIO_WHO_USER = 3

# <asm-generic/ioctls.h>: both push input into a terminal
TIOCSTI = 0x5412
TIOCLINUX = 0x541C
TIOCSETD = 0x5423  # sets the line discipline
USERFAULTFD_IOC_NEW = 0xAA00  # <linux/userfaultfd.h>, 6.1: of /dev/userfaultfd, as userfaultfd(2)

# <linux/socket.h> and <linux/if_alg.h>, 6.2: a cipher gets its key from a keyring
SOL_ALG = 279
ALG_SET_KEY_BY_KEY_SERIAL = 7

# <linux/socket.h> and <linux/netlink.h>, 2.6.14
SOL_NETLINK = 270
NETLINK_ADD_MEMBERSHIP = 1

# <linux/kd.h>: the high bytes of all requests of the Linux console, which has numbers of 16 bits
KD_MASK = 0xFFFFFF00
KD_REQUESTS = 0x4B00
# <linux/vt.h>: the high bits of all requests that switch, resize or free consoles
VT_MASK = 0xFFFFFFF0
VT_REQUESTS = 0x5600

# <linux/perf_event.h>: pid is a descriptor of a cgroup
PERF_FLAG_PID_CGROUP = 1 << 2  # 2.6.39

# <net/if.h>, <linux/sockios.h>
IFREQ_FLAGS = struct.Struct("@16sh22x")  # ifr_name, ifr_flags, the rest of the union
SIOCGIFFLAGS = 0x8913
SIOCSIFFLAGS = 0x8914
IFREQ_ADDRESS = struct.Struct("@16sH2x4s16x")  # ifr_name, a struct sockaddr_in without its port, the rest
SIOCSIFADDR = 0x8916
SIOCSIFNETMASK = 0x891C
IFF_UP = 1 << 0

# <linux/ipv6.h>
IN6_IFREQ = struct.Struct("@16sIi")  # ifr6_addr, ifr6_prefixlen, ifr6_ifindex
