"""Reads off this host what needs no trying: its Landlock ABI and whether it looks like WSL2."""

from __future__ import annotations

import os

from nono.kernel import landlock
from nono.sandbox.plan.facts import HostFacts, Listener, NamespaceFacts

WSL_INTEROP = "/proc/sys/fs/binfmt_misc/WSLInterop"
VERSION_BYTES_MAX = 4096
CONTAINER_MARKERS = ("/.dockerenv", "/run/.containerenv")  # of Docker, of Podman


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


def namespace_facts(failed: str) -> NamespaceFacts:
    """What this host says about namespaces; failed: the step that it refused."""
    return NamespaceFacts(
        failed=failed,
        apparmor_restricts=_setting("kernel/apparmor_restrict_unprivileged_userns") == 1,
        clone_is_off=_setting("kernel/unprivileged_userns_clone") == 0,
        max_user_namespaces=_setting("user/max_user_namespaces"),
        max_net_namespaces=_setting("user/max_net_namespaces"),
        max_mnt_namespaces=_setting("user/max_mnt_namespaces"),
        is_container=any(map(os.path.exists, CONTAINER_MARKERS)),
        is_filtered=_is_filtered(),
    )


def _setting(name: str) -> int | None:
    """A number below /proc/sys; None where it is not there or hidden from us."""
    try:
        with open(f"/proc/sys/{name}", encoding="ascii") as file:
            return int(file.read())
    except (OSError, ValueError):
        return None


def _is_filtered() -> bool:
    try:
        with open("/proc/self/status", "rb") as status:
            return b"\nSeccomp:\t2\n" in status.read()
    except OSError:
        return False
