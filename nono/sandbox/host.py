"""Read host facts that need no probe: the Landlock ABI, signs of WSL2, limits on namespaces."""

from __future__ import annotations

import os

from nono.kernel import landlock
from nono.policy.ports import PortRange
from nono.sandbox.plan.facts import EVERY_PORT, HostFacts, Listener, NamespaceFacts

WSL_INTEROP = "/proc/sys/fs/binfmt_misc/WSLInterop"
CHOSEN_PORTS = "/proc/sys/net/ipv4/ip_local_port_range"
VERSION_BYTES_MAX = 4096
CONTAINER_MARKERS = ("/.dockerenv", "/run/.containerenv")  # Docker, Podman


def file_system_facts() -> HostFacts:
    """Return the facts for a run that is not proxy-only, without probing the network."""
    return HostFacts(
        kernel_release=os.uname().release,
        landlock_abi=landlock.abi_version(),
        listener=Listener.NOT_PROBED,
        listener_detail="",
        network_namespace=False,
        is_wsl2=looks_like_wsl2(),
        chosen_ports=_chosen_ports(),
    )


def looks_like_wsl2() -> bool:
    """Check the two WSL2 indicators that the kernel controls.

    WSL_DISTRO_NAME is set by the caller and ignored.
    """
    if os.path.exists(WSL_INTEROP):
        return True
    try:
        with open("/proc/version", encoding="utf-8", errors="replace") as version:
            text = version.read(VERSION_BYTES_MAX)
    except OSError:
        return False
    return "microsoft" in text or "WSL" in text


def _chosen_ports() -> PortRange:
    """Return from which ports the kernel chooses one for a socket; it holds for IPv6 too (ip(7))."""
    try:
        with open(CHOSEN_PORTS, encoding="utf-8") as file:
            first, last = map(int, file.read().split())
    except (OSError, ValueError):
        return EVERY_PORT
    return PortRange(first, last)


def namespace_facts(failed: str) -> NamespaceFacts:
    """Collect this host's settings that limit namespaces. `failed`: the step that the host refused."""
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
    """Return the number in a file below /proc/sys, or None if it is missing or hidden from us."""
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
