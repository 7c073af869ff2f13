"""Describe what this kernel can do, as found by probing."""

from nono.named_tuple import NamedTuple
from nono.policy.ports import PORT_MAX, PortRange
from nono.str_enum import StrEnum

EVERY_PORT = PortRange(1, PORT_MAX)
EBUSY_ISSUE = "microsoft/WSL#9548"


class Listener(StrEnum):
    """The result of installing a seccomp notify listener in a discarded probe."""

    AVAILABLE = "available"
    BUSY = "busy"  # EBUSY: an ancestor's filter already has one, and the kernel allows one per chain
    NOT_PROBED = "not_probed"  # the run does not need one
    UNAVAILABLE = "unavailable"  # older kernel, or pidfd_getfd refused (Yama scope 2, a container's filter)


class NamespaceFacts(NamedTuple):
    """Settings of this host that may explain a refused namespace; read only after a refusal."""

    failed: str = ""  # the step that was refused, with its errno
    apparmor_restricts: bool = False  # kernel.apparmor_restrict_unprivileged_userns (Ubuntu)
    clone_is_off: bool = False  # kernel.unprivileged_userns_clone is 0 (Debian, Arch)
    max_user_namespaces: int | None = None  # user.max_user_namespaces; None: not readable
    max_net_namespaces: int | None = None  # user.max_net_namespaces
    max_mnt_namespaces: int | None = None  # user.max_mnt_namespaces
    is_container: bool = False  # an engine's marker file exists
    is_filtered: bool = False  # an ancestor installed a seccomp filter


class MaskFacts(NamedTuple):
    """The result of a probe that masked denied paths as a run would."""

    failed: str = ""  # the refused step, with its errno; "" if that was the namespace, or nothing
    namespaces: NamespaceFacts | None = None  # set if the mount namespace was refused


class HostFacts(NamedTuple):
    """What one kernel allows an unprivileged process that is about to be restricted."""

    kernel_release: str
    landlock_abi: int  # 0: none; clamped to the newest ABI this code knows
    listener: Listener
    listener_detail: str  # the failed call and its errno, or "" when available
    # One can be made, its loopback raised, and a listener in it taken by us. False too if nobody asked.
    network_namespace: bool
    is_wsl2: bool  # affects the wording of messages only
    namespaces: NamespaceFacts = NamespaceFacts()  # affects the wording of messages only
    own_namespaces: NamespaceFacts | None = None  # None: available, or not probed
    masks: MaskFacts | None = None  # None: the run masks nothing; probed separately, last
    # Of which the kernel chooses a port for a socket (net.ipv4.ip_local_port_range); all, if that is unknown.
    chosen_ports: PortRange = EVERY_PORT

    @property
    def on_wsl2(self) -> str:
        """The beginning of a message about a limit that WSL2 has; empty elsewhere."""
        return "WSL2: " if self.is_wsl2 else ""

    def no_listener(self, otherwise: str) -> str:
        """Word why there is no listener. otherwise: The reason where none was probed for."""
        issue = f", {EBUSY_ISSUE}" if self.is_wsl2 and self.listener is Listener.BUSY else ""
        return f"{self.listener_detail or otherwise}{issue}"

    def to_message(self) -> dict[str, object]:
        own = self.own_namespaces
        return self._asdict() | {
            "namespaces": self.namespaces._asdict(),
            "own_namespaces": None if own is None else own._asdict(),
            "chosen_ports": tuple(self.chosen_ports),
        }

    @classmethod
    def from_message(cls, message: dict[str, object]) -> "HostFacts":
        """Rebuild the facts from to_message() after JSON.

        Raises ValueError if the sender is another version of nono.
        """
        if set(message) != set(cls._fields):
            raise ValueError(f"not host facts: {sorted(message)}")
        namespaces = NamespaceFacts(**message["namespaces"])  # type: ignore[arg-type]  # JSON lost the type
        own = message["own_namespaces"]
        chosen = message["chosen_ports"]
        known = {
            "listener": Listener(str(message["listener"])),
            "namespaces": namespaces,
            "own_namespaces": None if own is None else NamespaceFacts(**own),  # type: ignore[arg-type]  # as above
            "chosen_ports": PortRange(*chosen),  # type: ignore[misc]  # as above
        }
        return cls(**(message | known))  # type: ignore[arg-type]  # the launcher is this very program
