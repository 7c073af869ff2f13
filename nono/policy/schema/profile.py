"""Define the fields of a profile and their defaults.

Named tuples on purpose: a run without a profile file builds them without importing pydantic (or dataclasses,
see docs/adr/0004), and leaves their annotations as text. nono.policy.document.validate checks files against
the same annotations. Fields that are accepted but not built yet are in nono.policy.schema.unimplemented.
"""

from __future__ import annotations

from collections.abc import Mapping

from nono.named_tuple import NamedTuple
from nono.policy.capability import Namespaces, SandboxPolicy, Wsl2ProxyPolicy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Annotated, Literal

    from nono.policy.schema.constraints import (
        CAPTURES,
        SERVICES,
        SET_VARS,
        AbsolutePath,
        DirectoryName,
        Duration,
        DurationS,
        GroupName,
        Origin,
        PackName,
        Path,
        Port,
        PortRange,
        Reach,
        Says,
        Seconds,
        Text,
        Variable,
        VariablePattern,
        one_of,
    )
    from nono.policy.schema.routes import (
        CaptureEntry,
        CustomCredential,
        DomainEntry,
        EnvCredential,
        ProviderEntry,
        ProviderRoute,
        UpstreamProxyEntry,
    )


class Meta(NamedTuple):
    """A profile's description of itself; nothing depends on it."""

    name: str | None = None
    version: str | None = None
    description: str | None = None
    author: str | None = None


class ApprovalBackendEntry(NamedTuple):
    """A way to ask somebody for approval."""

    type: Literal["terminal", "webhook", "chain"]
    url: str | None = None  # of a webhook
    timeout_secs: Seconds | None = None
    mode: Literal["all", "any"] | None = None  # of a chain; None: all
    backends: tuple[str, ...] = ()  # of a chain


class ApprovalDefaults(NamedTuple):
    """The backend that is asked when nothing names one, and its time limit."""

    backend: str | None = None
    timeout_secs: Seconds | None = None


class Security(NamedTuple):
    """The command's access to other processes."""

    signal_mode: Reach = "isolated"
    process_info_mode: Reach | None = None  # accepted for portability: Linux cannot enforce it
    ipc_mode: Literal["shared_memory_only", "full"] = "shared_memory_only"
    capability_elevation: bool = False
    approval_backends: Mapping[str, ApprovalBackendEntry] = {}
    approval_defaults: ApprovalDefaults | None = None
    wsl2_proxy_policy: Wsl2ProxyPolicy = Wsl2ProxyPolicy.ERROR
    audit_required: bool = False  # refuse a run without an audit log, or without what proves it complete


class Groups(NamedTuple):
    """Policy groups on top of, or taken from, those of the profile 'default'."""

    include: tuple[GroupName, ...] = ()
    exclude: tuple[GroupName, ...] = ()


class Commands(NamedTuple):
    """Programs that may or may not be started by name; deprecated, because it confines nothing."""

    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()


class Filesystem(NamedTuple):
    """Paths granted and denied; `~`, $NAME and paths relative to the working directory are expanded."""

    allow: tuple[Path, ...] = ()
    read: tuple[Path, ...] = ()
    write: tuple[Path, ...] = ()
    allow_file: tuple[Path, ...] = ()
    read_file: tuple[Path, ...] = ()
    write_file: tuple[Path, ...] = ()
    state_dir: tuple[Path, ...] = ()  # as allow, and created at the start of a run if missing
    unix_socket: tuple[Path, ...] = ()  # to connect to
    unix_socket_bind: tuple[Path, ...] = ()  # to connect to and to listen on, as with each _bind
    unix_socket_dir: tuple[Path, ...] = ()  # sockets directly in a directory
    unix_socket_dir_bind: tuple[Path, ...] = ()
    unix_socket_subtree: tuple[Path, ...] = ()  # sockets anywhere below it
    unix_socket_subtree_bind: tuple[Path, ...] = ()
    deny: tuple[Path, ...] = ()
    deny_if_present: tuple[Path, ...] = ()  # as deny, unless the path is missing when the run starts
    bypass_protection: tuple[Path, ...] = ()
    suppress_save_prompt: tuple[Path, ...] = ()


class TlsIntercept(NamedTuple):
    """The certificates of intercepted connections. Durations: a number with s, m, h or d; bare: seconds."""

    ca_lifecycle: Literal["session", "trusted"] = "session"
    ca_validity: Duration | DurationS = "24h"
    leaf_validity: Duration | DurationS | None = None  # None: as long as the CA
    ca_env_vars: tuple[Variable, ...] = ()  # more variables that name the bundle of trusted certificates


class Network(NamedTuple):
    """The hosts that the command may reach, and the credentials added for it."""

    block: bool = False
    network_profile: str | None = None
    allow_http2: bool = False
    allow_domain: tuple[str | DomainEntry, ...] | None = None  # None: no list; (): one that allows nothing
    deny_domain: tuple[str, ...] = ()
    deny_private: bool = False  # refuse names that resolve to RFC 1918, RFC 4193 or RFC 6598 addresses
    raw_tunnels: tuple[str, ...] = ()  # host:port whose CONNECT tunnels may carry something other than TLS
    credentials: tuple[str, ...] = ()
    optional_credentials: tuple[str, ...] = ()
    mcp_servers: tuple[str, ...] = ()  # profiles of servers that run in sandboxes of their own
    custom_credentials: Annotated[
        Mapping[str, Annotated[CustomCredential, one_of("credential_key", "auth", "aws_auth", "spiffe")]],
        SERVICES,
    ] = {}
    open_port: tuple[Port, ...] = ()  # of loopback: to connect to and to listen on
    open_port_range: tuple[PortRange, ...] = ()  # first and last, both included
    connect_port: tuple[Port, ...] = ()  # of any host, without the proxy
    listen_port: tuple[Port, ...] = ()
    listen_port_range: tuple[PortRange, ...] = ()
    no_proxy: tuple[str, ...] = ()  # hosts clients are told to reach without the proxy; grants nothing
    tls_intercept: TlsIntercept = TlsIntercept()
    upstream_proxy: str | UpstreamProxyEntry | None = None  # host:port
    upstream_bypass: tuple[str, ...] = ()


class Diagnostics(NamedTuple):
    """The denials that the report after a run leaves out."""

    suppress_system_services: tuple[str, ...] = ()


class Workdir(NamedTuple):
    """The access that --allow-cwd grants on the working directory."""

    access: Literal["none", "read", "write", "readwrite"] = "none"


class Environment(NamedTuple):
    """The variables that the command inherits. Patterns are a name, or a prefix and one trailing `*`."""

    allow_vars: tuple[VariablePattern, ...] | None = None  # None: all; (): none
    deny_vars: tuple[VariablePattern, ...] = ()
    set_vars: Annotated[Mapping[str, Text], SET_VARS] = {}


class Linux(NamedTuple):
    """Settings that exist on Linux only."""

    af_unix_mediation: Literal["off", "pathname"] = "off"  # always mediated with the proxy
    sandbox_policy: SandboxPolicy = SandboxPolicy.AUTO
    namespaces: Namespaces = Namespaces.AUTO


class Hook(NamedTuple):
    """A hook of the agent's own; nono runs none."""

    event: str | None = None
    matcher: str | None = None
    script: str | None = None


class SessionHook(NamedTuple):
    """A program that a person has run outside the sandbox."""

    script: AbsolutePath
    timeout_secs: Annotated[int, Says({"exclusiveMinimum": 0})] | None = None


class SessionHooks(NamedTuple):
    """The hooks that run before and after the command."""

    before: SessionHook | None = None
    after: SessionHook | None = None


class Rollback(NamedTuple):
    """The paths that snapshots leave out."""

    exclude_patterns: tuple[str, ...] = ()
    exclude_globs: tuple[str, ...] = ()


class OpenUrls(NamedTuple):
    """The pages that the command may open in the person's browser."""

    allow_origins: tuple[Origin, ...] = ()
    allow_localhost: bool = False


class Profile(NamedTuple):
    """One profile with its bases merged in."""

    meta: Meta = Meta()
    security: Security = Security()
    groups: Groups = Groups()
    commands: Commands = Commands()
    filesystem: Filesystem = Filesystem()
    network: Network = Network()
    diagnostics: Diagnostics = Diagnostics()
    linux: Linux = Linux()
    env_credentials: Mapping[str, Variable | EnvCredential] = {}  # credential reference -> variable
    environment: Environment = Environment()
    credential_capture: Annotated[
        Mapping[str, Annotated[CaptureEntry, one_of("command", "provider")]], CAPTURES
    ] = {}
    credential_providers: Mapping[str, ProviderEntry] = {}
    credential_routes: tuple[ProviderRoute, ...] = ()
    workdir: Workdir = Workdir()
    hooks: Mapping[str, Hook] = {}
    session_hooks: SessionHooks = SessionHooks()
    rollback: Rollback = Rollback()
    open_urls: OpenUrls | None = None
    allow_launch_services: bool | None = None  # macOS
    allow_parent_of_protected: bool | None = None  # macOS
    allow_gpu: bool = False  # --allow-gpu may be given with this profile; grants nothing itself
    interactive: bool = False  # without effect
    skipdirs: tuple[DirectoryName, ...] = ()
    packs: tuple[PackName, ...] = ()
    binary: Annotated[str, Says({"minLength": 1})] | None = None  # runs when no command is given
    command_args: tuple[Text, ...] = ()  # appended to the command
    unsafe_macos_seatbelt_rules: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """The profile's name as messages show it."""
        return f"profile {self.meta.name}" if self.meta.name else "the profile"
