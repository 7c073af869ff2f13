"""Define the network of one command, before and while it is served."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext

from nono.named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _socket

    from nono.approval.broker import ApprovalBroker
    from nono.audit.event import Recorder
    from nono.credentials.values.credential import LeakDetector
    from nono.launch.control.live import Live
    from nono.policy.environment.inheritance import Withheld
    from nono.supervisor.calls.inet import Bound, Connected
    from nono.supervisor.verdict.adjudicator import NetworkGrants
    from nono.supervisor.verdict.peer_registry import Destination, PeerAddress
    from nono.supervisor.verdict.virtual_addresses import VirtualAddresses


# Serves what a private network has beside the proxy's listener. Takes what records refusals.
ServePrivate = Callable[["Recorder"], AbstractAsyncContextManager[None]]


class Network(NamedTuple):
    """The network of one command, before anything serves it."""

    serve: Callable[[], AbstractAsyncContextManager[ServedNetwork]]  # call it within a running loop
    listener: _socket.socket | None = None  # of the proxy; its clients wait in the backlog
    variables: Mapping[str, str] = {}  # tell clients how to reach and trust the proxy
    readable: Sequence[str] = ()  # the files these variables name; canonical
    withheld: tuple[Withheld, ...] = ()  # variables that hold a key this run has loaded
    leaks: tuple[LeakDetector, ...] = ()  # recognise these keys
    may_start_first: bool = False  # the command may start before anything is served
    own_files: Mapping[str, str] = {}  # what files private to the command hold, by masked path


def _not_kept(_peer: PeerAddress, _cookie: int, _destination: Destination | None) -> None:
    """Ignore a connection: without a proxy its owner does not matter."""


def no_private_network(_record: Recorder) -> AbstractAsyncContextManager[None]:
    return nullcontext()


class ServedNetwork(NamedTuple):
    """The network of one command, with or without a proxy, while it is served."""

    grants: NetworkGrants  # judge trapped calls
    approver: ApprovalBroker | None  # None: nothing may need approval
    live: Live
    connected: Connected = _not_kept  # takes each connection made to the proxy
    names: VirtualAddresses | None = None  # of the hosts that the command looks up; None: it looks up none
    bound: Bound | None = None  # told of listening sockets in a watched run
    private_network: ServePrivate = no_private_network
