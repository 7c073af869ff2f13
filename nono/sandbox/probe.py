"""Finds out what the kernel can do by doing it, in a child that is thrown away."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable

from nono.kernel import filters, landlock, namespaces, process, seccomp, uapi_landlock
from nono.sandbox import host
from nono.sandbox.facts import HostFacts, Listener

PROBE_BYTES_MAX = 4096


def host_facts() -> HostFacts:
    """Probe this host. Two short-lived children; a few milliseconds; nothing of the caller changes."""
    listener, detail = _probe_listener()
    return host.file_system_facts()._replace(
        listener=listener,
        listener_detail=detail,
        network_namespace=_succeeds_in_child(namespaces.user_and_network_namespace_works),
    )


def _probe_listener() -> tuple[Listener, str]:
    """Whether a child can install a notify filter, and we can take its listener from it.

    Both halves matter: under Yama scope 2 the installation succeeds and pidfd_getfd is refused.
    """
    said, say = os.pipe()
    wait, release = os.pipe()
    child = os.fork()
    if child == 0:
        _listener_child(say, wait, (said, release))
    os.close(say)
    os.close(wait)
    try:
        answer = json.loads(os.read(said, PROBE_BYTES_MAX) or b"null")
        if not isinstance(answer, dict):
            return Listener.UNAVAILABLE, "the probe died"
        if "fd" not in answer:
            busy = answer["errno"] == "EBUSY"
            return (Listener.BUSY if busy else Listener.UNAVAILABLE), str(answer["failed"])
        try:
            os.close(process.duplicate_descriptor(child, int(answer["fd"])))
        except OSError as error:
            return Listener.UNAVAILABLE, f"pidfd_getfd: {error.strerror}"
        return Listener.AVAILABLE, ""
    finally:
        os.close(said)
        os.close(release)
        os.waitpid(child, 0)


def _listener_child(say: int, wait: int, not_mine: tuple[int, ...]) -> None:
    """In the probe's child: install, report the descriptor's number, stay until the parent is done."""
    try:
        for descriptor in not_mine:
            os.close(descriptor)
        process.set_dumpable(True)
        try:
            answer: dict[str, object] = {"fd": seccomp.install_listener(filters.load("notify"))}
        except OSError as error:
            name = errno.errorcode.get(error.errno or 0, str(error.errno))
            answer = {"errno": name, "failed": f"seccomp user notification returns {name}"}
        os.write(say, json.dumps(answer).encode())
        os.read(wait, 1)
    finally:
        os._exit(0)


def _succeeds_in_child(attempt: Callable[[], bool]) -> bool:
    """What attempt answers in a child, where it may change the process for ever; an exception is a no."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            status = 0 if attempt() else 1
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def network_filter_installs() -> bool:
    """Whether the block-all filter can be installed: the fallback where Landlock has no TCP rules."""

    def install() -> bool:
        seccomp.install_filter(filters.load("block_all"))
        return True

    return _succeeds_in_child(install)


def landlock_tcp_rules_work() -> bool:
    """Whether a ruleset with a connect and a bind rule is accepted, whatever the ABI number says."""
    both = uapi_landlock.LANDLOCK_ACCESS_NET_BIND_TCP | uapi_landlock.LANDLOCK_ACCESS_NET_CONNECT_TCP
    try:
        ruleset = landlock.create_ruleset(0, both, 0)
    except OSError:
        return False
    try:
        landlock.add_net_port(ruleset, 443, uapi_landlock.LANDLOCK_ACCESS_NET_CONNECT_TCP)
        landlock.add_net_port(ruleset, 444, uapi_landlock.LANDLOCK_ACCESS_NET_BIND_TCP)
    except OSError:
        return False
    finally:
        os.close(ruleset)
    return True
