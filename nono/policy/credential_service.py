"""The credential services of a run: where each key is injected, and which variables name its phantom."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from posixpath import isabs
from typing import Any, NamedTuple

from nono.errors import ConfigError
from nono.policy.hostname import HostError, canonical_host, ip_literal, split_optional_port
from nono.policy.nearest import did_you_mean
from nono.policy.places import Places, UnsetVariableError
from nono.policy.profile import CustomCredential

# Variables that decide what a program loads or runs: a credential may not be written to one of them.
FORBIDDEN_DESTINATIONS = frozenset(
    """LD_PRELOAD LD_LIBRARY_PATH LD_AUDIT DYLD_INSERT_LIBRARIES DYLD_LIBRARY_PATH DYLD_FRAMEWORK_PATH
    BASH_ENV ENV IFS CDPATH PROMPT_COMMAND NODE_OPTIONS NODE_PATH PYTHONSTARTUP PYTHONPATH PERL5OPT PERL5LIB
    RUBYOPT RUBYLIB JAVA_TOOL_OPTIONS _JAVA_OPTIONS DOTNET_STARTUP_HOOKS GOFLAGS PATH HOME
    SHELL""".split()  # noqa: SIM905 - a list of words reads better than one of literals
)

_SERVICE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*", re.ASCII)
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", re.ASCII)  # token, RFC 9110 section 5.6.2
_BARE_KEY = re.compile(r"[A-Za-z0-9_]+", re.ASCII)
_PATH = re.compile(r"(?:/[A-Za-z0-9._~!$&'()*+,;=:@-]*)*", re.ASCII)  # RFC 3986, without percent-encoding
_DEFAULT_PORTS = {"https": 443, "http": 80}


class Upstream(NamedTuple):
    """Where a service's requests go."""

    scheme: str  # "https"; "http" to a loopback host only
    host: str  # canonical
    port: int
    base_path: str  # no trailing slash; "" for none

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == _DEFAULT_PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{host}{port}{self.base_path}"


class CredentialService(NamedTuple):
    """One service whose real key stays with the supervisor."""

    name: str  # also the first segment of its reverse route
    upstream: Upstream
    inject_header: str
    credential_format: str  # holds "{}" once
    credential_key: str  # a reference that nono.credentials parses; a bare word is a keyring account
    env_vars: tuple[str, ...]  # each gets the phantom; a real key inherited in one is removed
    base_url_env_vars: tuple[str, ...]  # each gets the URL of the route
    tls_ca: str | None  # absolute path of a PEM file trusted besides the public roots
    origin: str  # "--credential", or the profile's field

    @property
    def source_variable(self) -> str | None:
        """The variable an env:// reference reads, which the child must not inherit either."""
        scheme, separator, name = self.credential_key.partition("://")
        return name if separator and scheme == "env" else None

    @property
    def source_file(self) -> str | None:
        """The file a file:// reference reads, which must lie outside the grants."""
        scheme, separator, path = self.credential_key.partition("://")
        return path if separator and scheme == "file" else None


def parse_upstream(text: str) -> Upstream:
    """An upstream URL without user info, query or fragment. ValueError says what is wrong with it."""
    scheme, separator, rest = text.partition("://")
    if not separator or scheme not in _DEFAULT_PORTS:
        raise ValueError("an https:// URL is expected")
    authority, slash, path = rest.partition("/")
    raw_host, port = split_optional_port(authority)
    host = canonical_host(raw_host)
    literal = ip_literal(host)
    if scheme == "http" and host != "localhost" and not (literal and literal.is_loopback):
        raise ValueError("http is for loopback only: a key would cross the network in the clear")
    base_path = (slash + path).rstrip("/")
    if not _PATH.fullmatch(base_path) or any(part in (".", "..") for part in base_path.split("/")):
        raise ValueError("its path is not plain (no query, fragment, dot segment or percent-encoding)")
    return Upstream(scheme, host, port or _DEFAULT_PORTS[scheme], base_path)


def problems_of(name: str, custom: CustomCredential) -> Iterable[tuple[str, str]]:
    """(field, what is wrong) for every mistake in a profile's custom_credentials entry."""
    if not _SERVICE_NAME.fullmatch(name):
        yield "", "a service name holds letters, digits, '-' and '_'"
    try:
        parse_upstream(custom.upstream)
    except ValueError as error:
        yield "upstream", str(error)
    if not _HEADER.fullmatch(custom.inject_header):
        yield "inject_header", "not a header name"
    text = custom.credential_format
    if text is not None and (text.count("{}") != 1 or not text.isprintable() or not text.isascii()):
        yield "credential_format", "expected printable ASCII that holds '{}' once"
    if "://" not in custom.credential_key and not _BARE_KEY.fullmatch(custom.credential_key):
        yield "credential_key", "expected an account name ([A-Za-z0-9_]+) or a reference such as env://NAME"
    if custom.env_var is None and _derived_variable(custom.credential_key) is None:
        yield "env_var", f"required, because no variable follows from {custom.credential_key!r}"
    for field in ("env_var", "base_url_env_var"):
        variable = getattr(custom, field)
        if variable is not None and not is_destination(variable):
            yield field, f"{variable!r} may not hold a credential"


def is_destination(variable: str) -> bool:
    """Whether a credential may be written to variable."""
    upper = variable.upper()
    forbidden = upper in FORBIDDEN_DESTINATIONS or upper.startswith(("LD_", "DYLD_", "NONO_"))
    return bool(_VARIABLE.fullmatch(variable)) and not forbidden


def resolve_services(
    wanted: Iterable[tuple[str, str]],
    custom: Mapping[str, CustomCredential],
    built_in: Mapping[str, Mapping[str, Any]],
    places: Places,
) -> tuple[CredentialService, ...]:
    """The services of (name, origin) pairs, each once; a profile's entry replaces a built-in one.

    ConfigError: unknown service, a tls_ca that names no path, or two services that share a variable.
    """
    services: dict[str, CredentialService] = {}
    for name, origin in wanted:
        if name in custom:
            services.setdefault(name, _custom(name, custom[name], origin, places))
        elif name in built_in:
            services.setdefault(name, _built_in(name, built_in[name], origin))
        else:
            available = sorted({*custom, *built_in})
            raise ConfigError(
                f"Unknown credential service '{name}'. Available: [{', '.join(available)}]",
                hint=did_you_mean(name, available),
            )
    _refuse_shared_variables(services.values())
    return tuple(services.values())


def _built_in(name: str, entry: Mapping[str, Any], origin: str) -> CredentialService:
    return CredentialService(
        name=name,
        upstream=parse_upstream(entry["upstream"]),
        inject_header=entry["inject_header"],
        credential_format=entry["credential_format"],
        credential_key=entry["credential_key"],
        env_vars=tuple(entry["env_vars"]),
        base_url_env_vars=tuple(entry["base_url_env_vars"]),
        tls_ca=None,
        origin=origin,
    )


def _custom(name: str, custom: CustomCredential, origin: str, places: Places) -> CredentialService:
    default_format = "Bearer {}" if custom.inject_header.lower() == "authorization" else "{}"
    variable = custom.env_var or _derived_variable(custom.credential_key)
    base_url = custom.base_url_env_var or f"{name.upper().replace('-', '_')}_BASE_URL"
    try:
        return CredentialService(
            name=name,
            upstream=parse_upstream(custom.upstream),
            inject_header=custom.inject_header,
            credential_format=custom.credential_format or default_format,
            credential_key=custom.credential_key,
            env_vars=(variable,) if variable else (),
            base_url_env_vars=(base_url,),
            tls_ca=_tls_ca(custom.tls_ca, places),
            origin=origin,
        )
    except (ValueError, HostError) as error:
        raise ConfigError(f"credential service '{name}': {error}.") from error


def _tls_ca(text: str | None, places: Places) -> str | None:
    if text is None:
        return None
    try:
        path = places.of_profile(text)
    except UnsetVariableError as unset:
        raise ValueError(f"tls_ca '{text}': {unset}") from unset
    if not isabs(path):
        raise ValueError(f"tls_ca '{text}' must be an absolute path")
    return path


def _derived_variable(credential_key: str) -> str | None:
    scheme, separator, name = credential_key.partition("://")
    if not separator:
        name = credential_key.upper()
    elif scheme != "env":
        return None
    return name if is_destination(name) else None


def _refuse_shared_variables(services: Iterable[CredentialService]) -> None:
    owners: dict[str, str] = {}
    for service in services:
        for variable in (*service.env_vars, *service.base_url_env_vars):
            owner = owners.setdefault(variable, service.name)
            if owner != service.name:
                raise ConfigError(
                    f"credential services '{owner}' and '{service.name}' both set {variable}.",
                    hint="name one of them, or give one an env_var of its own in custom_credentials",
                )
