"""What a run may do: the values that every later step reads and none changes."""

from enum import StrEnum
from typing import Literal

from nono.named_tuple import NamedTuple
from nono.policy.ports import PortGrants
from nono.policy.socket_grant import SocketDirectory, SocketGrant


class Access(StrEnum):
    """What a grant allows. The spelling is that of profiles, messages and JSON."""

    READ = "read"
    WRITE = "write"
    READWRITE = "readwrite"

    @property
    def reads(self) -> bool:
        return self is not Access.WRITE

    @property
    def writes(self) -> bool:
        return self is not Access.READ

    def united(self, other: "Access") -> "Access":
        return self if self is other else Access.READWRITE

    def covers(self, other: "Access") -> bool:
        return self is Access.READWRITE or self is other


class NetworkMode(StrEnum):
    """How far the child's sockets reach. The words are those of the session record and the summary."""

    ALLOWED = "allowed"
    BLOCKED = "blocked"
    PROXY = "proxy"


class Wsl2ProxyPolicy(StrEnum):
    """What a proxy-only run does where nothing can hold the child to the proxy (spec: wsl2.md)."""

    ERROR = "error"
    INSECURE_PROXY = "insecure_proxy"
    NETNS = "netns"


class SandboxPolicy(StrEnum):
    """By what a restricted network is to be enforced, if a person says so."""

    AUTO = "auto"  # by the strongest means there is
    LANDLOCK = "landlock"  # by Landlock's ports and the static filter, without a listener, or not at all
    EXTERNAL = "external"  # by nothing of nono's: something around it does that
    NETNS = "netns"  # a proxy-only run: by a private network namespace, or not at all


class Grant(NamedTuple):
    """Access to one path, and below it when it is a directory."""

    path: str  # canonical: no symlink, no dot segment, no trailing slash
    access: Access
    is_dir: bool
    source: str  # "user", "profile", "group:NAME" or "system"
    original: str  # as it was asked for; differs from path behind a symlink, or under /proc/self

    @property
    def is_users(self) -> bool:
        """Whether a person asked for it, rather than a group of the shipped policy."""
        return self.source in ("user", "profile")


class Denial(NamedTuple):
    """A path that no grant may name or reach, unless filesystem.bypass_protection lifts it."""

    path: str  # canonical as far as the path exists, or the name of a symlink
    original: str
    origin: str  # "group:NAME" or "profile NAME, filesystem.deny"

    @property
    def is_of_group(self) -> bool:
        """Whether the shipped policy denies it, which knows nothing of this host, rather than a person."""
        return self.origin.startswith("group:")


class Mask(NamedTuple):
    """A denied path in a granted directory, to be masked by a mount of the command's own."""

    denial: Denial
    kind: Literal["dir", "link", "file"]  # of the denied path itself; "file": everything else
    names: int  # hard links; the others of them are not masked
    grant: Grant  # one that reaches it

    @property
    def path(self) -> str:
        return self.denial.path


class Absent(NamedTuple):
    """A denied path in a granted directory where there is nothing yet that could be masked."""

    denial: Denial
    grant: Grant
    is_creatable: bool  # the command may write where it would be

    @property
    def path(self) -> str:
        return self.denial.path


class Masking(NamedTuple):
    """What Landlock, which cannot take away below a directory what it gives there, leaves to mounts."""

    masks: tuple[Mask, ...] = ()
    pinned: tuple[str, ...] = ()  # directories above a mask that the command could rename, outermost first
    absent: tuple[Absent, ...] = ()
    watched: tuple[str, ...] = ()  # directories where one of their names may be given to another file


class Scopes(NamedTuple):
    """What of other processes the child may reach (Landlock scopes, ABI 6)."""

    signal: bool = True  # signals stay inside the sandbox
    abstract_unix_socket: bool = True  # so do connections to abstract sockets
    signal_or_nothing: bool = False  # a kernel that cannot hold signals back is not good enough
    has_process_info_mode: bool = False  # asked for, and nothing on Linux that it would change


class Limits(NamedTuple):
    """What a command and all that it starts may have together (cgroup v2). None: no limit."""

    memory_bytes: int | None = None
    max_processes: int | None = None  # threads count as well

    @property
    def is_set(self) -> bool:
        return bool(self.controllers)

    @property
    def controllers(self) -> frozenset[str]:
        """The controllers of cgroup v2 that hold it."""
        by_controller = {"memory": self.memory_bytes, "pids": self.max_processes}
        return frozenset(name for name, limit in by_controller.items() if limit is not None)


class CapabilitySet(NamedTuple):
    """The resolved policy of one run: validated, united, with nothing left to look up."""

    grants: tuple[Grant, ...]
    denials: tuple[Denial, ...]
    network: NetworkMode
    scopes: Scopes
    wsl2_proxy_policy: Wsl2ProxyPolicy
    workdir: str  # where the child starts
    sandbox_policy: SandboxPolicy = SandboxPolicy.AUTO
    ports: PortGrants = PortGrants()  # beside the proxy's; nothing where the network is open
    af_unix_mediation: bool = False  # Unix sockets need grants, in a run without a proxy too
    sockets: tuple[SocketGrant, ...] = ()  # Unix sockets with a path
    socket_directories: tuple[SocketDirectory, ...] = ()  # what that means for files
    elevation: bool = False  # whether a person is to be asked about files beyond the grants
    masking: Masking = Masking()  # what is denied below a granted directory
    limits: Limits = Limits()
    names_threads: bool = False  # whether the command may write to the names of its threads in /proc
    learns: bool = (
        False  # whether what the command does with files is watched, for a profile to be made of it
    )

    @property
    def mediates_unix_sockets(self) -> bool:
        """Whether Unix sockets with a path need a grant, wherever there is a supervisor that sees them."""
        return self.network is NetworkMode.PROXY or self.af_unix_mediation

    @property
    def wants_sockets_served(self) -> bool:
        """Whether a run without proxy has sockets for a supervisor to look at."""
        by_port = self.restricts_network and any(self.ports) and self.sandbox_policy is SandboxPolicy.AUTO
        return self.af_unix_mediation or by_port

    @property
    def restricts_network(self) -> bool:
        """Whether the child's network ends anywhere: one port to connect to makes an open network a list."""
        return self.network is not NetworkMode.ALLOWED or bool(self.ports.connect)

    @property
    def is_network_left_open(self) -> bool:
        """Whether nono itself does not hold the network to what was asked for."""
        return self.sandbox_policy is SandboxPolicy.EXTERNAL and self.restricts_network
