"""Build a Landlock ruleset and restrict the calling thread with it (landlock(7))."""

from __future__ import annotations

import ctypes
import errno

from nono.kernel.landlock_rights import KNOWN_ABI
from nono.kernel.libc import RepeatedCall, os_error, syscall
from nono.kernel.process import no_new_privs
from nono.kernel.uapi import landlock as uapi


def abi_version() -> int:
    """Return the Landlock ABI to use: the kernel's, clamped to KNOWN_ABI, which nono has tables for.

    0 means not built in (ENOSYS) or disabled at boot (EOPNOTSUPP). The list of security modules under /sys is
    not consulted because containers often lack it, nor the errata flag because it is backported. Raises
    OSError if a seccomp filter answered instead of the kernel, so nothing is known.
    """
    try:
        version = syscall(
            uapi.NR_LANDLOCK_CREATE_RULESET,
            0,
            0,
            uapi.LANDLOCK_CREATE_RULESET_VERSION,
            tried="landlock_create_ruleset(version)",
        )
    except OSError as error:
        if error.errno in (errno.ENOSYS, errno.EOPNOTSUPP):
            return 0
        raise
    return min(version, KNOWN_ABI)


def create_ruleset(handled_access_fs: int, handled_access_net: int = 0, scoped: int = 0) -> int:
    """Return a new ruleset descriptor, close-on-exec; the caller closes it.

    Masks are those of landlock_rights. A handled right is refused unless a rule allows it. A right that the
    kernel does not know is an error and is never dropped silently. OSError EINVAL or E2BIG: the kernel is
    older than the masks. ENOMSG: all masks are zero.
    """
    if scoped:
        attr = uapi.RULESET_ATTR_SCOPED.pack(handled_access_fs, handled_access_net, scoped)
    elif handled_access_net:
        attr = uapi.RULESET_ATTR_NET.pack(handled_access_fs, handled_access_net)
    else:
        attr = uapi.RULESET_ATTR_FS.pack(handled_access_fs)
    buffer = ctypes.create_string_buffer(attr, len(attr))
    return syscall(
        uapi.NR_LANDLOCK_CREATE_RULESET,
        ctypes.addressof(buffer),
        len(attr),
        0,
        tried="landlock_create_ruleset("
        f"fs={handled_access_fs:#x}, net={handled_access_net:#x}, scoped={scoped:#x})",
    )


def add_path_beneath(ruleset_fd: int, parent_fd: int, allowed_access: int) -> None:
    """Allow `allowed_access` on the inode behind `parent_fd` (O_PATH will do) and everything below it.

    Raises OSError EINVAL for a right that is not handled or a directory right on a file, ENOMSG if no right
    is given, EBADFD if `parent_fd` is on a file system without paths, such as that of pipes or sockets.
    """
    PathRules(ruleset_fd).add(parent_fd, allowed_access)


class PathRules:
    """Adds one rule after another as add_path_beneath() does: a start adds two hundred."""

    def __init__(self, ruleset_fd: int) -> None:
        self._attr = ctypes.create_string_buffer(uapi.PATH_BENEATH_ATTR.size)
        attr = ctypes.addressof(self._attr)
        kind = uapi.LANDLOCK_RULE_PATH_BENEATH
        self._call = RepeatedCall(uapi.NR_LANDLOCK_ADD_RULE, ruleset_fd, kind, attr, 0)

    def add(self, parent_fd: int, allowed_access: int) -> None:
        uapi.PATH_BENEATH_ATTR.pack_into(self._attr, 0, allowed_access, parent_fd)
        result = self._call()
        if result < 0:
            raise os_error(-result, f"landlock_add_rule(path_beneath, access={allowed_access:#x})")


def add_net_port(ruleset_fd: int, port: int, allowed_access: int) -> None:
    """Allow TCP bind or connect on a port (host byte order) at any address. Port 0: any ephemeral bind.

    Raises OSError EINVAL if the ruleset handles no network right (always so below ABI 4), or the port is
    above 65535.
    """
    attr = uapi.NET_PORT_ATTR.pack(allowed_access, port)
    buffer = ctypes.create_string_buffer(attr, len(attr))
    syscall(
        uapi.NR_LANDLOCK_ADD_RULE,
        ruleset_fd,
        uapi.LANDLOCK_RULE_NET_PORT,
        ctypes.addressof(buffer),
        0,
        tried=f"landlock_add_rule(net_port {port}, access={allowed_access:#x})",
    )


def restrict_self(ruleset_fd: int, flags: int = 0) -> None:
    """Restrict the calling thread and its descendants permanently, across execve; set no_new_privs first.

    `flags` are those of landlock_rights. Other threads of the process stay unrestricted, so the caller must
    have none. OSError E2BIG: 16 rulesets are stacked already. EINVAL: the kernel does not know a flag.
    """
    # Called here rather than by each caller: as root, forgetting it raises no error but keeps set-uid
    # programs.
    no_new_privs()
    syscall(uapi.NR_LANDLOCK_RESTRICT_SELF, ruleset_fd, flags, tried=f"landlock_restrict_self({flags:#x})")
