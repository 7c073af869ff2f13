"""Finds out what the kernel can do by doing it, in a child that is thrown away."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable

from nono.kernel import filters, inotify, landlock, process, seccomp, uapi_landlock
from nono.named_tuple import NamedTuple
from nono.policy.capability import Masking
from nono.sandbox import host
from nono.sandbox.facts import HostFacts, Listener, MaskFacts, NamespaceFacts
from nono.sandbox.plan import MaskRule
from nono.sandbox.private_network import enter_private_network

PROBE_BYTES_MAX = 4096


def host_facts() -> HostFacts:
    """Probe this host. Two short-lived children; a few milliseconds; nothing of the caller changes.

    SandboxError: no seccomp program is shipped for this machine, and none can be built.
    """
    listener, detail = _probe_listener()
    refused = _attempt_in_child(_open_in_private_network)
    return host.file_system_facts()._replace(
        listener=listener,
        listener_detail=detail,
        network_namespace=refused is None,
        namespaces=NamespaceFacts() if refused is None else host.namespace_facts(refused.failed),
    )


def with_masks(facts: HostFacts, masking: Masking) -> HostFacts:
    """facts, with what becomes of masking in a short-lived child, where there is something to mask."""
    if not masking.masks:
        return facts
    # Imported here: most runs mask nothing.
    from nono.sandbox import mask_keeper, mask_mounts

    def attempt() -> str:
        try:
            mask_mounts.enter_private_mounts()
        except OSError as error:
            return f"namespace:{error.strerror}"
        try:
            mask_mounts.mask_paths([MaskRule(mask.path, mask.kind) for mask in masking.masks], masking.pinned)
            mask_keeper.watch(inotify.new_queue(), masking.watched)
        except mask_mounts.MaskError as error:
            return f"masks:{error}"
        except OSError as error:
            return f"masks:{mask_keeper.cannot_watch(error)}"
        return "done"

    step, _, failed = _said_in_child(attempt).partition(":")
    if step == "namespace":
        return facts._replace(masks=MaskFacts(namespaces=host.namespace_facts(failed)))
    return facts._replace(masks=MaskFacts(failed="" if step == "done" else failed or "the probe died"))


def _probe_listener() -> tuple[Listener, str]:
    """Whether a child can install a notify filter, and we can take its listener from it.

    Both halves matter: under Yama scope 2 the installation succeeds and pidfd_getfd is refused.
    """
    program = filters.load("notify")
    refused = _attempt_in_child(lambda: seccomp.install_listener(program))
    if refused is None:
        return Listener.AVAILABLE, ""
    if not refused.errno_name:
        return Listener.UNAVAILABLE, refused.failed
    busy = refused.errno_name == "EBUSY"
    failed = f"seccomp user notification returns {refused.errno_name}"
    return (Listener.BUSY if busy else Listener.UNAVAILABLE), failed


def _open_in_private_network() -> int:
    return enter_private_network(0).detach()


class _Refused(NamedTuple):
    """What became of an attempt in a child that did not succeed."""

    failed: str
    errno_name: str = ""  # of the attempt itself; "" when it succeeded and its descriptor could not be taken


def _attempt_in_child(attempt: Callable[[], int]) -> _Refused | None:
    """None when a child can make the descriptor that attempt returns there, and we can take it from it."""
    said, say = os.pipe()
    wait, release = os.pipe()
    child = os.fork()
    if child == 0:
        _make_in_child(attempt, say, wait, (said, release))
    os.close(say)
    os.close(wait)
    try:
        answer = json.loads(os.read(said, PROBE_BYTES_MAX) or b"null")
        if not isinstance(answer, dict):
            return _Refused("the probe died")
        if "fd" not in answer:
            return _Refused(str(answer["failed"]), str(answer["errno"]))
        try:
            os.close(process.duplicate_descriptor(child, int(answer["fd"])))
        except OSError as error:
            return _Refused(f"pidfd_getfd: {error.strerror}")
        return None
    finally:
        os.close(said)
        os.close(release)
        os.waitpid(child, 0)


def _make_in_child(attempt: Callable[[], int], say: int, wait: int, not_mine: tuple[int, ...]) -> None:
    """In the probe's child: attempt, report the descriptor's number, stay until the parent is done."""
    try:
        for descriptor in not_mine:
            os.close(descriptor)
        process.set_dumpable(True)
        try:
            answer: dict[str, object] = {"fd": attempt()}
        except OSError as error:
            name = errno.errorcode.get(error.errno or 0, str(error.errno))
            answer = {"errno": name, "failed": error.strerror or name}
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


def _said_in_child(attempt: Callable[[], str]) -> str:
    """What attempt returns in a child, where it may change the process for ever; "" when it died."""
    said, say = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(said)
            process.set_dumpable(True)
            os.write(say, attempt().encode("utf-8", "surrogateescape")[:PROBE_BYTES_MAX])
        finally:
            os._exit(0)
    os.close(say)
    try:
        return os.read(said, PROBE_BYTES_MAX).decode("utf-8", "surrogateescape")
    finally:
        os.close(said)
        os.waitpid(child, 0)


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
