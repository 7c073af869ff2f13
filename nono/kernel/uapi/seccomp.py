"""Mirror of <linux/seccomp.h>, <linux/audit.h> and <asm/unistd.h>: the parts for filtering system calls.

Names, order and layouts as Linux 6.12 has them; the comment beside a flag is the first kernel that accepts
it.
"""

from __future__ import annotations

import struct

# operations of seccomp(2)
SECCOMP_SET_MODE_STRICT = 0
SECCOMP_SET_MODE_FILTER = 1
SECCOMP_GET_ACTION_AVAIL = 2
SECCOMP_GET_NOTIF_SIZES = 3

# flags of SECCOMP_SET_MODE_FILTER. Bit 4 is TSYNC_ESRCH and not WAIT_KILLABLE_RECV: the kernel accepts it
# beside NEW_LISTENER without a word, so mistaking the two loses answers to signals and shows nothing.
SECCOMP_FILTER_FLAG_TSYNC = 1 << 0  # 3.17
SECCOMP_FILTER_FLAG_LOG = 1 << 1  # 4.14
SECCOMP_FILTER_FLAG_SPEC_ALLOW = 1 << 2  # 4.17
SECCOMP_FILTER_FLAG_NEW_LISTENER = 1 << 3  # 5.0
SECCOMP_FILTER_FLAG_TSYNC_ESRCH = 1 << 4  # 5.7
SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV = 1 << 5  # 5.19

# what a filter returns: an action in the high half, its datum in the low half
SECCOMP_RET_KILL_PROCESS = 0x80000000
SECCOMP_RET_KILL_THREAD = 0x00000000
SECCOMP_RET_TRAP = 0x00030000
SECCOMP_RET_ERRNO = 0x00050000
SECCOMP_RET_USER_NOTIF = 0x7FC00000
SECCOMP_RET_TRACE = 0x7FF00000
SECCOMP_RET_LOG = 0x7FFC0000
SECCOMP_RET_ALLOW = 0x7FFF0000
SECCOMP_RET_ACTION_FULL = 0xFFFF0000
SECCOMP_RET_DATA = 0x0000FFFF

SECCOMP_DATA = struct.Struct("=iIQ6Q")  # nr, arch, instruction_pointer, args[6]
SECCOMP_NOTIF = struct.Struct("=QII" + SECCOMP_DATA.format[1:])  # id, pid, flags, data
SECCOMP_NOTIF_RESP = struct.Struct("=QqiI")  # id, val, error (negative errno), flags
SECCOMP_NOTIF_ID = struct.Struct("=Q")
SECCOMP_NOTIF_ADDFD = struct.Struct("=QIIII")  # id, flags, srcfd, newfd, newfd_flags

SECCOMP_USER_NOTIF_FLAG_CONTINUE = 1 << 0  # 5.5
SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP = 1 << 0  # 6.6

SECCOMP_IOCTL_NOTIF_RECV = 0xC0502100
SECCOMP_IOCTL_NOTIF_SEND = 0xC0182101
SECCOMP_IOCTL_NOTIF_ADDFD = 0x40182103  # 5.9
SECCOMP_IOCTL_NOTIF_SET_FLAGS = 0x40082104  # 6.6
SECCOMP_IOCTL_NOTIF_ID_VALID = 0x40082102  # 5.17; before, the direction bits were swapped and both are taken

# <linux/filter.h>
SOCK_FILTER = struct.Struct("=HBBI")  # code, jt, jf, k
SOCK_FPROG = struct.Struct("@HP")  # len (instructions), filter (address)
BPF_MAXINSNS = 4096

# <linux/audit.h>: how a filter is told which system call table nr belongs to
AUDIT_ARCH_I386 = 0x40000003
AUDIT_ARCH_ARM = 0x40000028
AUDIT_ARCH_X86_64 = 0xC000003E
AUDIT_ARCH_AARCH64 = 0xC00000B7

# x32 programs share AUDIT_ARCH_X86_64 and set this bit in nr (<asm/unistd.h>)
X32_SYSCALL_BIT = 0x40000000

AUDIT_ARCH: dict[str, int] = {"x86_64": AUDIT_ARCH_X86_64, "aarch64": AUDIT_ARCH_AARCH64}

# A system call since Linux 5.1 has the same number on all architectures.
_SAME_EVERYWHERE = {
    "io_uring_setup": 425,
    "io_uring_enter": 426,
    "io_uring_register": 427,
    "open_tree": 428,
    "move_mount": 429,
    "fsopen": 430,
    "fsconfig": 431,
    "fsmount": 432,
    "pidfd_open": 434,
    "clone3": 435,
    "close_range": 436,
    "openat2": 437,
    "pidfd_getfd": 438,
    "mount_setattr": 442,
    "fchmodat2": 452,
}

SYSCALL_NUMBERS: dict[str, dict[str, int]] = {
    "x86_64": {
        "read": 0,
        "write": 1,
        "open": 2,
        "mmap": 9,
        "munmap": 11,
        "brk": 12,
        "rt_sigreturn": 15,
        "ioctl": 16,
        "mremap": 25,
        "madvise": 28,
        "shmget": 29,
        "shmat": 30,
        "shmctl": 31,
        "socket": 41,
        "connect": 42,
        "sendto": 44,
        "sendmsg": 46,
        "bind": 49,
        "listen": 50,
        "socketpair": 53,
        "setsockopt": 54,
        "clone": 56,
        "execve": 59,
        "semget": 64,
        "semop": 65,
        "semctl": 66,
        "msgget": 68,
        "msgsnd": 69,
        "msgrcv": 70,
        "msgctl": 71,
        "fcntl": 72,
        "truncate": 76,
        "rename": 82,
        "mkdir": 83,
        "rmdir": 84,
        "creat": 85,
        "link": 86,
        "unlink": 87,
        "symlink": 88,
        "chmod": 90,
        "fchmod": 91,
        "capget": 125,
        "capset": 126,
        "mknod": 133,
        "fstatfs": 138,
        "setpriority": 141,
        "sched_setparam": 142,
        "sched_setscheduler": 144,
        "umount2": 166,
        "prctl": 157,
        "futex": 202,
        "sched_setaffinity": 203,
        "semtimedop": 220,
        "clock_gettime": 228,
        "exit_group": 231,
        "tgkill": 234,
        "mq_open": 240,
        "mq_unlink": 241,
        "add_key": 248,
        "request_key": 249,
        "keyctl": 250,
        "ioprio_set": 251,
        "inotify_add_watch": 254,
        "openat": 257,
        "mkdirat": 258,
        "mknodat": 259,
        "unlinkat": 263,
        "renameat": 264,
        "linkat": 265,
        "symlinkat": 266,
        "fchmodat": 268,
        "signalfd4": 289,
        "inotify_init1": 294,
        "perf_event_open": 298,
        "prlimit64": 302,
        "open_by_handle_at": 304,
        "sendmmsg": 307,
        "setns": 308,
        "process_vm_readv": 310,
        "sched_setattr": 314,
        "renameat2": 316,
        "seccomp": 317,
        "getrandom": 318,
        "execveat": 322,
        "userfaultfd": 323,
        "statx": 332,
        **_SAME_EVERYWHERE,
    },
    "aarch64": {
        "fcntl": 25,
        "inotify_init1": 26,
        "inotify_add_watch": 27,
        "ioctl": 29,
        "ioprio_set": 30,
        "mknodat": 33,
        "mkdirat": 34,
        "unlinkat": 35,
        "symlinkat": 36,
        "linkat": 37,
        "renameat": 38,
        "umount2": 39,
        "fstatfs": 44,
        "truncate": 45,
        "fchmod": 52,
        "fchmodat": 53,
        "openat": 56,
        "read": 63,
        "write": 64,
        "signalfd4": 74,
        "capget": 90,
        "capset": 91,
        "exit_group": 94,
        "futex": 98,
        "clock_gettime": 113,
        "sched_setparam": 118,
        "sched_setscheduler": 119,
        "sched_setaffinity": 122,
        "tgkill": 131,
        "rt_sigreturn": 139,
        "setpriority": 140,
        "prctl": 167,
        "mq_open": 180,
        "mq_unlink": 181,
        "msgget": 186,
        "msgctl": 187,
        "msgrcv": 188,
        "msgsnd": 189,
        "semget": 190,
        "semctl": 191,
        "semtimedop": 192,
        "semop": 193,
        "shmget": 194,
        "shmctl": 195,
        "shmat": 196,
        "socket": 198,
        "socketpair": 199,
        "bind": 200,
        "listen": 201,
        "connect": 203,
        "sendto": 206,
        "setsockopt": 208,
        "sendmsg": 211,
        "brk": 214,
        "munmap": 215,
        "mremap": 216,
        "add_key": 217,
        "request_key": 218,
        "keyctl": 219,
        "clone": 220,
        "execve": 221,
        "mmap": 222,
        "madvise": 233,
        "perf_event_open": 241,
        "prlimit64": 261,
        "open_by_handle_at": 265,
        "setns": 268,
        "sendmmsg": 269,
        "process_vm_readv": 270,
        "sched_setattr": 274,
        "renameat2": 276,
        "seccomp": 277,
        "getrandom": 278,
        "execveat": 281,
        "userfaultfd": 282,
        "statx": 291,
        **_SAME_EVERYWHERE,
    },
}
