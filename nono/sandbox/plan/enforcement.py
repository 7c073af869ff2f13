"""Describe how one run is enforced: its rung, its seccomp programs, or why it does not start."""

from nono.named_tuple import NamedTuple
from nono.str_enum import StrEnum

# Only the supervisor sees where a Unix socket leads; Landlock does not check connect(2) to one (ABI 1 to 7).
UNIX_SOCKET_GAP = (
    "connections to Unix sockets with a path are not checked: the command reaches every service of this "
    "user that listens on one (D-Bus, ssh-agent, containers)."
)
# The same for a command with namespaces: mounts keep it from what `outside_services` names.
OTHER_SOCKETS_GAP = (
    "connections to Unix sockets with a path are not checked. Those of your session and of container engines "
    "are hidden; the command reaches what else listens on one, such as a database."
)


class Rung(StrEnum):
    """How a proxy-only run is confined to the proxy, strongest first (ARCHITECTURE.md, the ladder)."""

    NOTIFY = "notify"  # the supervisor performs connect and bind; the address is exact
    NETNS = "netns"  # a network namespace in which nothing but the proxy listens; the address is exact
    LANDLOCK = "landlock"  # Landlock TCP rules; the port is checked, the address is not
    NONE = "none"  # nothing; insecure_proxy or the sandbox policy external requested that


class StaticFilter(StrEnum):
    """A frozen seccomp program that needs no supervisor (nono/kernel/filters)."""

    OPEN_NET = "open_net"  # protects the terminal and other processes' limits, not the network
    BLOCK_ALL = "block_all"
    TCP_ONLY = "tcp_only"
    TCP_AND_UDP = "tcp_and_udp"  # for a network namespace of the command's own
    TCP_UDP_AND_ROUTE = "tcp_udp_and_route"  # the same, where the command can make no other network


class NotifyProgram(StrEnum):
    """A frozen seccomp program with a listener, which the supervisor serves."""

    NOTIFY = "notify"  # sockets; it includes tcp_only
    NOTIFY_OPENS = "notify_opens"  # sockets and opens
    OPENS = "opens"  # opens; beside a static filter, like those below
    PORTS = "ports"  # destinations of connects, where only some ports are granted
    PORTS_OPENS = "ports_opens"
    UNIX_PATHS = "unix_paths"  # Unix sockets
    UNIX_PATHS_OPENS = "unix_paths_opens"
    PATHS = "paths"  # calls that name a file by its path, for watching; beside a static filter
    NOTIFY_PATHS = "notify_paths"  # PATHS and sockets


class Enforcement(NamedTuple):
    """How the network of this run is enforced, and what a person must be told about it."""

    rung: Rung | None  # None: the run is not proxy-only
    warnings: tuple[str, ...] = ()  # printed even without -v: the run is weaker than it looks
    insisted: tuple[str, ...] = ()  # warnings that are printed even with --silent
    gaps: tuple[str, ...] = ()  # not enforced: counted in the summary, listed with -v and in the audit log
    notes: tuple[str, ...] = ()  # printed even with --silent: something that was requested is switched off
    is_open: bool = False  # nothing restricts the network: warnings are printed even with --silent
    elevation: bool = False  # a person is asked about files beyond the grants
    sockets: NotifyProgram | None = None  # the supervisor's program for sockets in a run without proxy
    learns: bool = False  # the command's file accesses are recorded
    shares: str = ""  # printed even without -v: what a command without namespaces shares with this host
    shares_by: str = ""  # the choice that disabled namespaces; empty if this host refused them
    namespaces: bool = False  # the command has its own process, temporary-file and IPC namespaces
    names_threads: bool = False  # the supervisor opens the command's thread names for it
    checks_instructions: bool = False  # instruction files are checked when the command opens them

    @property
    def is_served(self) -> bool:
        """True if a run without proxy still has a listener, and so needs an event loop."""
        return self.rung is None and (self.traps_opens or self.sockets is not None)

    @property
    def traps_opens(self) -> bool:
        """True if the supervisor receives every open of a file."""
        return self.elevation or self.learns or self.names_threads or self.checks_instructions


def hides_services(enforcement: Enforcement) -> bool:
    """Return True if mounts keep the command from services outside, as nothing judges its connects."""
    return OTHER_SOCKETS_GAP in enforcement.gaps


def has_own_datagrams(enforcement: Enforcement) -> bool:
    """Return True if the init of the command's namespaces makes UDP sockets for it (ADR 99)."""
    return enforcement.namespaces and enforcement.rung is Rung.NOTIFY


class Refusal(NamedTuple):
    """The reason why a run does not start."""

    message: str
    hint: str | None = None
