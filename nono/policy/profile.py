"""The shape of a profile, and the one home of every default.

Named tuples on purpose: a run without a profile file builds them without importing pydantic (or dataclasses,
see docs/adr/0004), and nono.policy.profile_schema validates files against the same annotations. A field of
the specification that is missing here is listed in nono.policy.profile_schema.NOT_YET.
"""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from nono.policy.capability import Wsl2ProxyPolicy

Reach = Literal["isolated", "allow_same_sandbox", "allow_all"]


class Meta(NamedTuple):
    """What a profile says about itself; nothing depends on it."""

    name: str | None = None
    version: str | None = None
    description: str | None = None
    author: str | None = None


class Security(NamedTuple):
    """How much of other processes the child reaches."""

    signal_mode: Reach = "isolated"
    process_info_mode: Reach = "isolated"  # accepted for portability: Linux has nothing that would hold it
    ipc_mode: Literal["shared_memory_only", "full"] = "shared_memory_only"
    capability_elevation: bool = False
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
    deny: tuple[str, ...] = ()
    bypass_protection: tuple[str, ...] = ()


class CustomCredential(NamedTuple):
    """A credential service of the profile's own; the fields are those of CredentialService."""

    upstream: str
    credential_key: str
    inject_mode: Literal["header"] = "header"
    inject_header: str = "Authorization"
    credential_format: str | None = None  # None: "Bearer {}" in Authorization, "{}" elsewhere
    env_var: str | None = None  # None: derived from credential_key
    base_url_env_var: str | None = None  # None: the service's name, upper case, and _BASE_URL
    tls_ca: str | None = None  # PEM file trusted for this upstream besides the public roots


class Network(NamedTuple):
    """Which hosts the child reaches, and with whose credentials."""

    block: bool = False
    network_profile: str | None = None
    allow_domain: tuple[str, ...] | None = None  # None: no allow list; (): a list that allows nothing
    deny_domain: tuple[str, ...] = ()
    deny_private: bool = False  # refuse names that resolve to RFC 1918, RFC 4193 or RFC 6598 addresses
    raw_tunnels: tuple[str, ...] = ()  # host:port whose CONNECT tunnels may carry something else than TLS
    credentials: tuple[str, ...] = ()
    custom_credentials: Mapping[str, CustomCredential] = {}


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

    af_unix_mediation: Literal["off"] = "off"
    sandbox_policy: Literal["auto"] = "auto"


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
