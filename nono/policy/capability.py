"""Define the permissions of a run, as values that later steps read and never change."""

from __future__ import annotations

from nono.named_tuple import NamedTuple
from nono.policy.ports import KeptPort, PortGrants
from nono.policy.socket_grant import SocketDirectory, SocketGrant
from nono.str_enum import StrEnum

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal


class Access(StrEnum):
    """The access a grant allows, spelled as in profiles, messages and JSON."""

    READ = "read"
    WRITE = "write"
    READWRITE = "readwrite"

    @property
    def reads(self) -> bool:
        return self is not Access.WRITE

    @property
    def writes(self) -> bool:
        return self is not Access.READ

    def united(self, other: Access) -> Access:
        return self if self is other else Access.READWRITE

    def covers(self, other: Access) -> bool:
        return self is Access.READWRITE or self is other


class NetworkMode(StrEnum):
    """The network access of the command, spelled as in the session record and the summary."""

    ALLOWED = "allowed"
    BLOCKED = "blocked"
    PROXY = "proxy"


class Wsl2ProxyPolicy(StrEnum):
    """The fallback of a proxy-only run if the kernel cannot confine the command to the proxy, as on WSL2."""

    ERROR = "error"
    INSECURE_PROXY = "insecure_proxy"
    NETNS = "netns"


class SandboxPolicy(StrEnum):
    """The mechanism that must enforce a restricted network, if a person chooses one."""

    AUTO = "auto"  # the strongest available
    LANDLOCK = "landlock"  # Landlock ports and the static filter without a listener; else refuse
    EXTERNAL = "external"  # nothing in nono: something around it enforces the network
    NETNS = "netns"  # a private network namespace for a proxy-only run; else refuse


class Namespaces(StrEnum):
    """Whether a supervised command runs in user, mount, PID and IPC namespaces of its own."""

    AUTO = "auto"  # where the kernel allows them
    OFF = "off"
    REQUIRE = "require"  # or refuse


class Grant(NamedTuple):
    """Access to one path, including everything below it for a directory."""

    path: str  # canonical: no symlink, no dot segment, no trailing slash
    access: Access
    is_dir: bool
    source: str  # "user", "profile", "group:NAME" or "system"
    original: str  # as requested; differs from path behind a symlink, or under /proc/self

    @property
    def is_users(self) -> bool:
        """True if a person asked for it, rather than a group of the shipped policy."""
        return self.source in ("user", "profile")


class Denial(NamedTuple):
    """A path that no grant may name or reach, unless filesystem.bypass_protection exempts it."""

    path: str  # canonical as far as it exists, or the name of a symlink
    original: str
    origin: str  # "group:NAME" or "profile NAME, filesystem.deny"
    alias_of: str | None = None  # the canonical path, if `path` is where another mount shows it

    @property
    def is_of_group(self) -> bool:
        """True if a group of the shipped policy denies it, rather than a person who knows this host."""
        return self.origin.startswith("group:")


class Mask(NamedTuple):
    """A denied path in a granted directory, to be masked by a mount private to the command."""

    denial: Denial
    kind: Literal["dir", "link", "file"]  # type of the denied path itself; "file": anything else
    names: int  # number of hard links; the other names are not masked
    grant: Grant  # a grant that reaches it
    shown: str | None = None  # a file outside all grants, which the command sees instead
    own: str | None = None  # a directory private to the command, where the path leads to a file of that name
    is_shared: bool = False  # `own` is a directory on disk, whose files later runs use too

    @property
    def path(self) -> str:
        return self.denial.path


class Absent(NamedTuple):
    """A denied path in a granted directory that does not exist yet, so it cannot be masked."""

    denial: Denial
    grant: Grant
    is_creatable: bool  # the command may write its parent directory
    is_own: bool = False  # it lies in a state directory of the program, so the program may create it

    @property
    def path(self) -> str:
        return self.denial.path


class Masking(NamedTuple):
    """Denials left to mounts, because Landlock cannot revoke below a directory the access it grants there."""

    masks: tuple[Mask, ...] = ()
    pinned: tuple[str, ...] = ()  # renameable directories above a mask, outermost first
    absent: tuple[Absent, ...] = ()
    watched: tuple[str, ...] = ()  # directories in which a denied path may be replaced by another file
    is_served: bool = False  # it may be replaced unseen, because another program or machine serves its names


class Scopes(NamedTuple):
    """Access of the command to other processes (Landlock scopes, ABI 6)."""

    signal: bool = True  # signals stay in the sandbox
    abstract_unix_socket: bool = True  # so do connections to abstract sockets
    signal_or_nothing: bool = False  # refuse to run on a kernel that cannot restrict signals
    has_process_info_mode: bool = False  # requested, but has no effect on Linux


class Limits(NamedTuple):
    """Limits shared by a command and everything it starts (cgroup v2). None: no limit."""

    memory_bytes: int | None = None
    max_processes: int | None = None  # threads count as well

    @property
    def is_set(self) -> bool:
        return bool(self.controllers)

    @property
    def controllers(self) -> frozenset[str]:
        """The cgroup v2 controllers that enforce the limits."""
        by_controller = {"memory": self.memory_bytes, "pids": self.max_processes}
        return frozenset(name for name, limit in by_controller.items() if limit is not None)


class CapabilitySet(NamedTuple):
    """The resolved policy of one run: validated, merged, with nothing left to look up."""

    grants: tuple[Grant, ...]
    denials: tuple[Denial, ...]
    network: NetworkMode
    scopes: Scopes
    wsl2_proxy_policy: Wsl2ProxyPolicy
    workdir: str  # where the command starts
    sandbox_policy: SandboxPolicy = SandboxPolicy.AUTO
    ports: PortGrants = PortGrants()  # besides the proxy's; empty if the network is open
    kept_ports: tuple[KeptPort, ...] = ()  # of this machine; the command never listens there
    af_unix_mediation: bool = False  # Unix sockets need grants even without a proxy
    sockets: tuple[SocketGrant, ...] = ()  # Unix sockets with a path
    socket_directories: tuple[SocketDirectory, ...] = ()  # the file access those imply
    listed: tuple[Grant, ...] = ()  # directories of which the names may be read, and nothing else
    elevation: bool = False  # ask a person about files beyond the grants
    masking: Masking = Masking()  # denials below granted directories
    limits: Limits = Limits()
    names_threads: bool = False  # the command may write its thread names in /proc
    checks_instructions: bool = False  # a trust policy refuses untrusted instruction files
    learns: bool = False  # record file accesses to make a profile of them
    namespaces: Namespaces = Namespaces.AUTO
    hooks: str | None = None  # the git repository's hooks directory, unless granted by name
    runtime_dir: str | None = None  # XDG_RUNTIME_DIR of this person, of which the command has another
    closed_sockets: tuple[str, ...] = ()  # of services outside, or their directories: nobody is there for it
    fixed_sockets: tuple[str, ...] = ()  # the same where connects are judged: they stay where they are

    @property
    def mediates_unix_sockets(self) -> bool:
        """True if Unix sockets with a path need a grant, provided a supervisor sees them."""
        return self.network is NetworkMode.PROXY or self.af_unix_mediation

    @property
    def wants_sockets_served(self) -> bool:
        """True if a run without a proxy needs a supervisor to check its sockets."""
        by_port = self.restricts_network and any(self.ports) and self.sandbox_policy is SandboxPolicy.AUTO
        return self.af_unix_mediation or by_port

    @property
    def wants_opens_served(self) -> bool:
        """True if a supervisor is wanted for calls that open files, or name them."""
        return self.elevation or self.learns or self.names_threads or self.checks_instructions

    @property
    def restricts_network(self) -> bool:
        """True if the network is restricted: one connect port turns an open network into a list."""
        return self.network is not NetworkMode.ALLOWED or bool(self.ports.connect)

    @property
    def is_network_left_open(self) -> bool:
        """True if nono itself does not enforce the requested network restriction."""
        return self.sandbox_policy is SandboxPolicy.EXTERNAL and self.restricts_network
