"""The shape of a profile, and the one home of every default.

Named tuples on purpose: a run without a profile file builds them without importing pydantic (or dataclasses,
see docs/adr/0004), and nono.policy.profile_schema validates files against the same annotations. A field of
the specification that is missing here is listed in nono.policy.profile_schema.NOT_YET.
"""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from nono.policy.capability import SandboxPolicy, Wsl2ProxyPolicy
from nono.policy.profile_routes import (
    CaptureEntry,
    CustomCredential,
    DomainEntry,
    EnvCredential,
    ProviderEntry,
    ProviderRoute,
    TlsIntercept,
    UpstreamProxyEntry,
)

Reach = Literal["isolated", "allow_same_sandbox", "allow_all"]


class Meta(NamedTuple):
    """What a profile says about itself; nothing depends on it."""

    name: str | None = None
    version: str | None = None
    description: str | None = None
    author: str | None = None


class ApprovalBackendEntry(NamedTuple):
    """A way to ask somebody for approval."""

    type: Literal["terminal", "webhook", "chain"]
    url: str | None = None  # of a webhook
    timeout_secs: float | None = None
    mode: Literal["all", "any"] | None = None  # of a chain; None: all
    backends: tuple[str, ...] = ()  # of a chain


class ApprovalDefaults(NamedTuple):
    """Which backend is asked when nothing names one, and how long it has."""

    backend: str | None = None
    timeout_secs: float | None = None


class Security(NamedTuple):
    """How much of other processes the child reaches."""

    signal_mode: Reach = "isolated"
    process_info_mode: Reach | None = None  # accepted for portability: Linux has nothing that would hold it
    ipc_mode: Literal["shared_memory_only", "full"] = "shared_memory_only"
    capability_elevation: bool = False
    approval_backends: Mapping[str, ApprovalBackendEntry] = {}
    approval_defaults: ApprovalDefaults | None = None
    wsl2_proxy_policy: Wsl2ProxyPolicy = Wsl2ProxyPolicy.ERROR


class Groups(NamedTuple):
    """Policy groups on top of, or taken from, those of the profile 'default'."""

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()


class Filesystem(NamedTuple):
    """Paths granted and denied; `~`, $NAME and paths relative to the working directory are expanded."""

    allow: tuple[str, ...] = ()
    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()
    allow_file: tuple[str, ...] = ()
    read_file: tuple[str, ...] = ()
    write_file: tuple[str, ...] = ()
    unix_socket: tuple[str, ...] = ()  # to connect to
    unix_socket_bind: tuple[str, ...] = ()  # to connect to and to listen on, as each _bind
    unix_socket_dir: tuple[str, ...] = ()  # those directly in a directory
    unix_socket_dir_bind: tuple[str, ...] = ()
    unix_socket_subtree: tuple[str, ...] = ()  # those anywhere below it
    unix_socket_subtree_bind: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    bypass_protection: tuple[str, ...] = ()


class Network(NamedTuple):
    """Which hosts the child reaches, and with whose credentials."""

    block: bool = False
    network_profile: str | None = None
    allow_http2: bool = False
    allow_domain: tuple[str | DomainEntry, ...] | None = None  # None: no list; (): one that allows nothing
    deny_domain: tuple[str, ...] = ()
    deny_private: bool = False  # refuse names that resolve to RFC 1918, RFC 4193 or RFC 6598 addresses
    raw_tunnels: tuple[str, ...] = ()  # host:port whose CONNECT tunnels may carry something else than TLS
    credentials: tuple[str, ...] = ()
    custom_credentials: Mapping[str, CustomCredential] = {}
    open_port: tuple[int, ...] = ()  # of loopback: to connect to and to listen on
    open_port_range: tuple[tuple[int, int], ...] = ()  # first and last, both included
    connect_port: tuple[int, ...] = ()  # of any host, without the proxy
    listen_port: tuple[int, ...] = ()
    no_proxy: tuple[str, ...] = ()  # what clients are told to reach without the proxy; grants nothing
    tls_intercept: TlsIntercept = TlsIntercept()
    upstream_proxy: str | UpstreamProxyEntry | None = None  # host:port
    upstream_bypass: tuple[str, ...] = ()


class Workdir(NamedTuple):
    """What --allow-cwd grants on the working directory."""

    access: Literal["none", "read", "write", "readwrite"] = "none"


class Environment(NamedTuple):
    """Which variables the child inherits. Patterns are a name, or a prefix and one trailing `*`."""

    allow_vars: tuple[str, ...] | None = None  # None: all; (): none
    deny_vars: tuple[str, ...] = ()
    set_vars: Mapping[str, str] = {}


class Linux(NamedTuple):
    """Choices that only this platform has."""

    af_unix_mediation: Literal["off", "pathname"] = "off"  # beside the proxy they are always mediated
    sandbox_policy: SandboxPolicy = SandboxPolicy.AUTO


class Profile(NamedTuple):
    """One profile with its bases merged in."""

    meta: Meta = Meta()
    security: Security = Security()
    groups: Groups = Groups()
    filesystem: Filesystem = Filesystem()
    network: Network = Network()
    workdir: Workdir = Workdir()
    environment: Environment = Environment()
    linux: Linux = Linux()
    env_credentials: Mapping[str, str | EnvCredential] = {}  # credential reference -> variable
    credential_capture: Mapping[str, CaptureEntry] = {}
    credential_providers: Mapping[str, ProviderEntry] = {}
    credential_routes: tuple[ProviderRoute, ...] = ()
    allow_gpu: bool = False  # whether --allow-gpu may be given with this profile; grants nothing itself

    @property
    def label(self) -> str:
        """How messages name it."""
        return f"profile {self.meta.name}" if self.meta.name else "the profile"


SECTIONS: Mapping[str, type[Any]] = {
    "meta": Meta,
    "security": Security,
    "groups": Groups,
    "filesystem": Filesystem,
    "network": Network,
    "workdir": Workdir,
    "environment": Environment,
    "linux": Linux,
}


def from_shipped(document: Mapping[str, Any]) -> Profile:
    """The Profile of a merged document that nono itself ships; a user's goes through profile_schema.

    TypeError when it has a field that Profile lacks. Values are taken as they are.
    """
    return Profile(**{name: SECTIONS[name](**_tuples(section)) for name, section in document.items()})


def _tuples(section: Mapping[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in section.items()}
