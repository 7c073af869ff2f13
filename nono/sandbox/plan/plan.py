"""Draw the kernel state of a run from its capabilities and the enforcement chosen for it."""

from collections.abc import Mapping

from nono.kernel import landlock_rights
from nono.kernel.uapi import landlock as uapi_landlock
from nono.named_tuple import NamedTuple
from nono.policy.capability import CapabilitySet, Mask, NetworkMode
from nono.policy.ports import PortGrants, PortRange, united
from nono.sandbox.plan.enforcement import Enforcement, NotifyProgram, Rung, StaticFilter
from nono.sandbox.plan.facts import HostFacts


class PathRule(NamedTuple):
    """One Landlock rule; its rights depend on the inode that the launcher finds at `path`."""

    path: str
    reads: bool
    writes: bool
    is_dir: bool
    required: bool  # a person's rule must apply; a path of a shipped group may be missing
    lists: bool = False  # may list the directory, but read no file
    makes_sockets: bool = False  # may create and remove sockets in it


class MaskRule(NamedTuple):
    """One path to hide behind a mount."""

    path: str
    kind: str | None  # "dir", "link" or "file", as it was when the plan was drawn; None: whatever it is
    shown: str | None = None  # the file mounted over it; None: an empty placeholder, or a link
    own: str | None = None  # the directory private to the command in which the link leads to a file
    content: str | None = None  # of that file; None: there is none at the start
    is_shared: bool = False  # `own` is a directory on disk, with the files of earlier runs


class SandboxPlan(NamedTuple):
    """Everything the launcher does to itself before execve."""

    landlock_abi: int
    handled_fs: int
    handled_net: int
    scoped: int
    path_rules: tuple[PathRule, ...]
    connect_ports: tuple[PortRange, ...]
    bind_ports: tuple[PortRange, ...]
    static_filter: StaticFilter | None
    listener: NotifyProgram | None
    private_network: bool = False  # the launcher left this network before the plan was drawn
    masks: tuple[MaskRule, ...] = ()
    pinned: tuple[str, ...] = ()  # directories above the masks that must not be renamed, outermost first
    unmasked: tuple[str, ...] = ()  # paths to mask once they exist
    watched: tuple[str, ...] = ()  # directories in which a masked path may be replaced
    looks_again: bool = False  # a masked path may be replaced without an event of inotify
    own_root_fs: int = 0  # rights that hold only below a root directory of the command's own; 0: it has none
    stays_in_cgroup: bool = False  # no descendant may be created in another cgroup
    refuses_sysv_ipc: bool = False  # System V IPC and POSIX queues, because they are shared with the machine
    refuses_foreign_scheduling: bool = False  # scheduling of any other process, as others are visible
    stays_dumpable: bool = False  # processes cannot make themselves undumpable, hiding from the supervisor

    def to_message(self) -> dict[str, object]:
        return self._asdict()

    @classmethod
    def from_message(cls, message: dict[str, object]) -> "SandboxPlan":
        """Rebuild the plan from to_message() after JSON.

        Raises ValueError if a field is missing or unknown.
        """
        if set(message) != set(cls._fields):
            raise ValueError(f"not a sandbox plan: {sorted(message)}")
        fields = dict(message)
        fields["path_rules"] = tuple(PathRule(*rule) for rule in message["path_rules"])  # type: ignore[attr-defined]  # JSON lost the type
        fields["masks"] = tuple(MaskRule(*rule) for rule in message["masks"])  # type: ignore[attr-defined]  # as above
        for name in ("pinned", "unmasked", "watched"):
            fields[name] = tuple(message[name])  # type: ignore[arg-type]  # as above
        for name in ("connect_ports", "bind_ports"):
            fields[name] = tuple(PortRange(*ports) for ports in message[name])  # type: ignore[attr-defined]  # as above
        program = message["static_filter"]
        fields["static_filter"] = None if program is None else StaticFilter(str(program))
        program = message["listener"]
        fields["listener"] = None if program is None else NotifyProgram(str(program))
        return cls(**fields)  # type: ignore[arg-type]  # the sender is this very program


def draw(
    capabilities: CapabilitySet,
    facts: HostFacts,
    enforcement: Enforcement,
    *,
    proxy_port: int | None = None,
    contents: Mapping[str, str] | None = None,
) -> SandboxPlan:
    """Draw the plan for a run on the chosen rung. Give `proxy_port` exactly when there is a rung.

    Raises ValueError for a port without a rung, and the reverse.

    contents: What files of the command's own hold, by masked path.
    """
    if (enforcement.rung is None) != (proxy_port is None):
        raise ValueError("a proxy-only plan, and no other, needs the port of its proxy")
    abi = facts.landlock_abi
    masking = capabilities.masking
    restricts_network = capabilities.restricts_network and not capabilities.is_network_left_open
    # In a private network only the command listens, and connections from outside come through the relay only.
    is_alone = enforcement.rung is Rung.NETNS
    handles_ports = restricts_network and not is_alone
    ports = capabilities.ports if handles_ports else PortGrants()
    proxy = () if proxy_port is None or not handles_ports else (PortRange(proxy_port, proxy_port),)
    listener = _notify_program(enforcement)
    return SandboxPlan(
        landlock_abi=abi,
        handled_fs=landlock_rights.HANDLED_FS[abi],
        handled_net=landlock_rights.HANDLED_NET[abi] if handles_ports else 0,
        scoped=_scoped(capabilities, abi),
        path_rules=_path_rules(capabilities),
        connect_ports=united((), (*proxy, *ports.connected)),
        bind_ports=ports.bound(capabilities.kept_ports),
        static_filter=_static_filter(capabilities, listener, is_alone=is_alone),
        listener=listener,
        private_network=is_alone,
        masks=tuple(_mask_rule(mask, contents or {}) for mask in masking.masks),
        pinned=masking.pinned,
        unmasked=tuple(absent.path for absent in masking.absent),
        watched=masking.watched,
        looks_again=masking.is_served,
        own_root_fs=_own_root_rights(capabilities, enforcement, abi),
        stays_in_cgroup=capabilities.limits.is_set,
        # Without namespaces both reach processes outside. The mask keeper is inside.
        refuses_sysv_ipc=not enforcement.namespaces,
        refuses_foreign_scheduling=not enforcement.namespaces or bool(masking.masks),
        # The owner of a user namespace may inspect every process in it.
        stays_dumpable=listener is not None and not enforcement.namespaces,
    )


def _path_rules(capabilities: CapabilitySet) -> tuple[PathRule, ...]:
    granted = [
        PathRule(grant.path, grant.access.reads, grant.access.writes, grant.is_dir, required=grant.is_users)
        for grant in capabilities.grants
    ]
    of_sockets = [
        PathRule(each.path, False, False, is_dir=True, required=True, lists=True, makes_sockets=each.makes)
        for each in capabilities.socket_directories
    ]
    listed = [
        PathRule(grant.path, False, False, is_dir=True, required=False, lists=True)
        for grant in capabilities.listed
    ]
    return (*granted, *of_sockets, *listed)


def _mask_rule(mask: Mask, contents: Mapping[str, str]) -> MaskRule:
    # A link that holds the place of a missing file may become a file until the masks are laid.
    kind = mask.kind if mask.own is None else None
    return MaskRule(mask.path, kind, mask.shown, mask.own, contents.get(mask.path), mask.is_shared)


def has_own_root(capabilities: CapabilitySet, enforcement: Enforcement) -> bool:
    """Return True if the command has a root directory of its own, which belongs to the user."""
    return bool(capabilities.masking.masks) or (enforcement.namespaces and capabilities.hooks is not None)


def _own_root_rights(capabilities: CapabilitySet, enforcement: Enforcement, abi: int) -> int:
    """Return the rights that would be open to a command which is handed a directory from other mounts."""
    if not has_own_root(capabilities, enforcement):
        return 0
    if capabilities.masking.masks:
        return landlock_rights.HANDLED_FS[abi]
    # Hooks are mounted read-only. Landlock asks for the right to truncate at each open, which would take
    # longer for it.
    writing = landlock_rights.WRITE_RIGHTS & ~uapi_landlock.LANDLOCK_ACCESS_FS_TRUNCATE
    return writing & landlock_rights.HANDLED_FS[abi]


def _scoped(capabilities: CapabilitySet, abi: int) -> int:
    scoped = 0
    if capabilities.scopes.signal:
        scoped |= uapi_landlock.LANDLOCK_SCOPE_SIGNAL
    if capabilities.scopes.abstract_unix_socket:
        scoped |= uapi_landlock.LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET
    return scoped & landlock_rights.SCOPES[abi]


_WITH_OPENS = {
    None: NotifyProgram.OPENS,
    NotifyProgram.NOTIFY: NotifyProgram.NOTIFY_OPENS,
    NotifyProgram.PORTS: NotifyProgram.PORTS_OPENS,
    NotifyProgram.UNIX_PATHS: NotifyProgram.UNIX_PATHS_OPENS,
}


def _notify_program(enforcement: Enforcement) -> NotifyProgram | None:
    sockets = NotifyProgram.NOTIFY if enforcement.rung is Rung.NOTIFY else enforcement.sockets
    if enforcement.learns:
        return NotifyProgram.PATHS if sockets is None else NotifyProgram.NOTIFY_PATHS
    return _WITH_OPENS[sockets] if enforcement.traps_opens else sockets


def _static_filter(
    capabilities: CapabilitySet, listener: NotifyProgram | None, *, is_alone: bool
) -> StaticFilter | None:
    if listener in (NotifyProgram.NOTIFY, NotifyProgram.NOTIFY_OPENS, NotifyProgram.NOTIFY_PATHS):
        return None
    if not capabilities.restricts_network or capabilities.is_network_left_open:
        return StaticFilter.OPEN_NET
    if capabilities.network is NetworkMode.BLOCKED and not any(capabilities.ports):
        return StaticFilter.BLOCK_ALL
    return StaticFilter.TCP_AND_UDP if is_alone else StaticFilter.TCP_ONLY
