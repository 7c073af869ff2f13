"""Reads off this host what needs no trying: its Landlock ABI and whether it looks like WSL2."""

from __future__ import annotations

import os

from nono.kernel import landlock
from nono.sandbox.facts import HostFacts, Listener

WSL_INTEROP = "/proc/sys/fs/binfmt_misc/WSLInterop"
VERSION_BYTES_MAX = 4096


def file_system_facts() -> HostFacts:
    """What a run needs that is not proxy-only; the network half is left unprobed, which costs nothing."""
    return HostFacts(
        kernel_release=os.uname().release,
        landlock_abi=landlock.abi_version(),
        listener=Listener.NOT_PROBED,
        listener_detail="",
        network_namespace=False,
        is_wsl2=looks_like_wsl2(),
    )


def looks_like_wsl2() -> bool:
    """The two indicators that the kernel controls. WSL_DISTRO_NAME is the caller's and is not looked at."""
    if os.path.exists(WSL_INTEROP):
        return True
    try:
        with open("/proc/version", encoding="utf-8", errors="replace") as version:
            text = version.read(VERSION_BYTES_MAX)
    except OSError:
        return False
    return "microsoft" in text or "WSL" in text
