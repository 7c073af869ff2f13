"""Test what the kernel can do by doing it in a child that is then discarded."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

from nono.errors import reason_of
from nono.forked import Reply, answering, bytes_from_fork
from nono.kernel import filters, inotify, landlock, process, seccomp
from nono.kernel.libc import os_error
from nono.kernel.uapi import landlock as uapi_landlock
from nono.named_tuple import NamedTuple
from nono.policy.capability import Mask, Masking
from nono.sandbox import host
from nono.sandbox.plan.facts import HostFacts, Listener, MaskFacts, NamespaceFacts
from nono.sandbox.plan.plan import MaskRule
from nono.sandbox.plan.private_view import PrivateView

PROBE_BYTES_MAX = 4096
MADE = "made"  # followed by a descriptor's number; a failure sends the errno's name and the step instead


def host_facts(*, network: bool) -> HostFacts:
    """Probe this host in short-lived children. Takes a few milliseconds; the caller is unchanged.

    network: Probe for a listener too, and for a private network.

    Raises SandboxError if no seccomp program is shipped for this machine, and none can be built.
    """
    with probed(network=network, private_network=True) as facts:
        return facts


@contextmanager
def probed(*, network: bool, private_network: bool) -> Iterator[HostFacts]:
    """Yield what host_facts() returns before its children have ended; leaving the block waits for them.

    private_network: Probe for it even if there is a listener, which a run prefers.
    The kernel takes as long to dismantle their namespaces as to make them.
    """
    with ExitStack() as children:
        facts = host.file_system_facts()
        failed = _probe_namespaces(children)
        if failed:
            facts = facts._replace(own_namespaces=host.namespace_facts(failed))
        yield _with_network(facts, children, private_network=private_network) if network else facts


def _probe_namespaces(children: ExitStack) -> str:
    """Mount a command's view in new namespaces. Returns the step that failed, or "" for success."""
    # Imported here: only a probe and a launcher with namespaces need it.
    from nono.kernel import namespaces
    from nono.sandbox import private_mounts

    def view(reply: Reply) -> None:
        try:
            private_mounts.mount_view(PrivateView())
        except OSError as error:
            reply.send(_encoded(reason_of(error)))
        else:
            reply.send(b"")

    def attempt(reply: Reply) -> None:
        process.set_dumpable(True)
        try:
            namespaces.leave_processes()
        except OSError as error:
            reply.send(_encoded(reason_of(error)))
            return
        # In a child, because that is in the new PID namespace, whose /proc is mounted.
        with answering(view) as inside:
            said = inside.answer.read(PROBE_BYTES_MAX)
            reply.send(b"the probe died" if said is None else said)

    said = children.enter_context(answering(attempt)).answer.read(PROBE_BYTES_MAX)
    return "the probe died" if said is None else said.decode("utf-8", "surrogateescape")


def _with_network(facts: HostFacts, children: ExitStack, *, private_network: bool) -> HostFacts:
    listener, detail = _probe_listener(children)
    facts = facts._replace(listener=listener, listener_detail=detail)
    if listener is Listener.AVAILABLE and not private_network:
        return facts
    refused = _attempt_in_child(_open_in_private_network, children)
    return facts._replace(
        network_namespace=refused is None,
        namespaces=NamespaceFacts() if refused is None else host.namespace_facts(refused.failed),
    )


def with_masks(facts: HostFacts, masking: Masking) -> HostFacts:
    """Return `facts` with the result of masking in a short-lived child, if anything is to be masked.

    Files of the command's own are left out: some have no place yet, and only runs with namespaces have them.
    """
    with masks_probed(facts, masking) as found:
        return found


@contextmanager
def masks_probed(facts: HostFacts, masking: Masking) -> Iterator[HostFacts]:
    """Yield what with_masks() returns before its child has ended; leaving the block waits for it.

    The kernel takes up to 20 ms to release what watches names (flush_delayed_work in fs/notify/mark.c).
    """
    if not masking.masks:
        yield facts
        return
    masks = [mask for mask in masking.masks if mask.own is None]
    if not masks:
        yield facts._replace(masks=MaskFacts())
        return
    with answering(lambda reply: reply.send(_encoded(_mask(masks, masking)))) as child:
        said = (child.answer.read(PROBE_BYTES_MAX) or b"").decode("utf-8", "surrogateescape")
        step, _, failed = said.partition(":")
        if step == "namespace":
            found = MaskFacts(namespaces=host.namespace_facts(failed))
        else:
            found = MaskFacts(failed="" if step == "done" else failed or "the probe died")
        yield facts._replace(masks=found)


def _mask(masks: Sequence[Mask], masking: Masking) -> str:
    """Mask in this process. Returns "done", or the step that failed, a colon and the reason."""
    # Imported here: most runs mask nothing.
    from nono.kernel import namespaces
    from nono.sandbox import mask_keeper, mask_mounts
    from nono.sandbox.own_root import enter_own_root

    process.set_dumpable(True)
    try:
        namespaces.leave_mounts()
    except OSError as error:
        return f"namespace:{error.strerror}"
    try:
        enter_own_root()
    except OSError as error:
        return f"masks:the command can have no root directory of its own: {error.strerror}"
    try:
        pinned = [path for path in masking.pinned if os.path.lexists(path)]
        mask_mounts.mask_paths([MaskRule(mask.path, mask.kind, mask.shown) for mask in masks], pinned)
        mask_keeper.watch(inotify.new_queue(), masking.watched)
    except mask_mounts.MaskError as error:
        return f"masks:{error}"
    except OSError as error:
        return f"masks:{mask_keeper.cannot_watch(error)}"
    return "done"


def _probe_listener(children: ExitStack) -> tuple[Listener, str]:
    """Check that a child can install a notify filter and that we can take its listener.

    Both halves matter: under Yama scope 2 the installation succeeds and pidfd_getfd is refused.
    """
    program = filters.load("notify")
    refused = _attempt_in_child(lambda: seccomp.install_listener(program), children)
    if refused is None:
        return Listener.AVAILABLE, ""
    if not refused.errno_name:
        return Listener.UNAVAILABLE, refused.failed
    busy = refused.errno_name == "EBUSY"
    failed = f"seccomp user notification returns {refused.errno_name}"
    return (Listener.BUSY if busy else Listener.UNAVAILABLE), failed


def _open_in_private_network() -> int:
    # Imported here, with socket: few runs need one.
    from nono.sandbox.private_network import enter_private_network

    return enter_private_network(0)[0].detach()


class _Refused(NamedTuple):
    """A failed attempt in a child."""

    failed: str
    errno_name: str = ""  # of the attempt itself; "" if it succeeded but its descriptor could not be taken


def _attempt_in_child(attempt: Callable[[], int], children: ExitStack) -> _Refused | None:
    """Run `attempt`, which returns a descriptor, in a child and take that descriptor. None means success."""
    child = children.enter_context(answering(lambda reply: _make_in_child(attempt, reply)))
    answer = child.answer.read(PROBE_BYTES_MAX)
    if answer is None:
        return _Refused("the probe died")
    step, _, said = answer.decode("utf-8", "surrogateescape").partition(":")
    if step != MADE:
        return _Refused(said, step)
    # Imported here: a run without a listener takes no descriptor of another process.
    from nono.kernel import threads

    try:
        os.close(threads.duplicate_descriptor(child.pid, int(said)))
    except OSError as error:
        # Without the numbers, which mean nothing outside and differ each time.
        return _Refused(os_error(error.errno or 0, "pidfd_getfd").strerror or "pidfd_getfd")
    finally:
        child.answer.close()
    return None


def _make_in_child(attempt: Callable[[], int], reply: Reply) -> None:
    """Run `attempt` in the child, report the descriptor's number, and stay until the parent is done."""
    process.set_dumpable(True)
    try:
        said = f"{MADE}:{attempt()}"
    except OSError as error:
        name = errno.errorcode.get(error.errno or 0, str(error.errno))
        said = f"{name}:{error.strerror or name}"
    reply.send(_encoded(said))
    reply.wait_until_closed()


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")[:PROBE_BYTES_MAX]


def network_filter_installs() -> bool:
    """Check that the block-all filter installs: the fallback where Landlock has no TCP rules."""

    def install() -> bytes:
        seccomp.install_filter(filters.load("block_all"))
        return b"installed"

    return bytes_from_fork(install, PROBE_BYTES_MAX) is not None


def landlock_tcp_rules_work() -> bool:
    """Check that a ruleset accepts a connect and a bind rule, whatever the ABI number says."""
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
