"""Build the rules for the variables that the command inherits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from nono.errors import ConfigError, UsageError
from nono.policy.builtin import shipped
from nono.policy.capability import Access, Grant
from nono.policy.environment.authority import CERTIFICATES, FILES, POINTERS, SOCKET, programs_of, targets
from nono.policy.environment.inheritance import (
    OF_THE_HOST,
    RUNTIME_DIRECTORY,
    EnvironmentRules,
    Withheld,
    check_fixed_name,
    judge,
)
from nono.policy.files.denials import DenyRules
from nono.policy.files.grants import accesses
from nono.policy.files.unix_sockets import UnixSocketRules
from nono.policy.path_expansion import Filesystem, PathContext, canonical_as_far, is_within
from nono.policy.schema.profile import Profile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from nono.policy.hosts.proxy_settings import UpstreamProxySettings
    from nono.policy.services.credential_service import CredentialService
    from nono.policy.services.oauth_routes import OAuthRoute

_NO_PROGRAM = ("", ":")  # the shell's own, or the program's default


def environment_rules(
    settings: Profile,
    flags: Iterable[str],
    services: Iterable[CredentialService],
    logins: Iterable[OAuthRoute],
    upstream_proxy: UpstreamProxySettings | None,
    path_context: PathContext,
) -> EnvironmentRules:
    """Return the rules, except for the granted pointers.

    flags: NAME or NAME=VALUE of each --env.

    Raises ConfigError for a variable that --env may not pass on or set.
    """
    withheld = {variable for service in services for variable in service.env_vars}
    withheld.update(route.env_var for route in logins if route.env_var is not None)
    withheld.update(variable for service in services for variable in service.source_variables)
    if upstream_proxy is not None and upstream_proxy.source_variable is not None:
        withheld.add(upstream_proxy.source_variable)
    environment = settings.environment
    split = [flag.partition("=") for flag in flags]
    rules = EnvironmentRules(
        allow=environment.allow_vars,
        deny=environment.deny_vars,
        fixed=(
            *((name, path_context.expand_built_in(value)) for name, value in environment.set_vars.items()),
            *((name, value) for name, equals, value in split if equals),
        ),
        withheld=frozenset(withheld),
        passed=frozenset(name for name, equals, _ in split if not equals),
        set_by_flag=frozenset(name for name, equals, _ in split if equals),
        services=shipped.readers_of_variables() | dict(_custom_readers(settings)),
    )
    for name, equals, _ in split:
        _check_flag(name, rules, sets=bool(equals))
    return rules


def unset(rules: EnvironmentRules, environ: Mapping[str, str]) -> Iterator[str]:
    """Yield a warning for each variable that --env should pass on but that is not set."""
    return (f"--env {name}: {name} is not set here" for name in sorted(rules.passed - environ.keys()))


def granted_pointers(
    environ: Mapping[str, str],
    sockets: UnixSocketRules,
    grants: tuple[Grant, ...],
    deny_rules: DenyRules,
    fs: Filesystem,
) -> frozenset[str]:
    """Return the variables whose socket, files or program are granted, so that the command finds those."""

    def is_granted(kind: str, spelled: str) -> bool:
        path = canonical_as_far(spelled, fs)
        if kind == SOCKET:
            return sockets.judge(path, binds=False).grant is not None
        held = None if deny_rules.covering(path) is not None else accesses(grants, path)
        return held is not None and held.reads

    pointers = {
        name
        for name, kind in (*POINTERS.items(), (CERTIFICATES, FILES))
        if name in environ
        and (found := targets(name, environ[name])) is not None
        and all(is_granted(kind, spelled) for spelled in found)
    }
    # execvp(3) passes over what it may not execute.
    return frozenset(pointers).union(
        name
        for name in OF_THE_HOST & environ.keys()
        if environ[name] in _NO_PROGRAM
        or any(
            fs.kind(path) == "file" and is_granted(FILES, path)
            for path in programs_of(environ[name], environ.get("PATH", ""), environ.get("HOME", ""))
        )
    )


def uses_runtime_directory(
    environ: Mapping[str, str], sockets: UnixSocketRules, grants: tuple[Grant, ...], fs: Filesystem
) -> bool:
    """Return True if XDG_RUNTIME_DIR names a directory that may be written, or holds what is granted.

    A socket that another variable names, as that of ssh's agent, is found without it.
    """
    value = environ.get(RUNTIME_DIRECTORY, "")
    if not value.startswith("/"):
        return False
    directory = canonical_as_far(value, fs)
    spelled = [targets(name, environ[name]) or () for name in POINTERS if name in environ]
    named = {canonical_as_far(path, fs) for paths in spelled for path in paths}
    of_sockets = [each.path for each in sockets.grants if each.path not in named]
    return (
        accesses(grants, directory) is Access.READWRITE
        or any(is_within(path, directory) for path in (*of_sockets, *(each.path for each in grants)))
        or any(is_within(directory, path) for path in of_sockets)
    )


def _check_flag(name: str, rules: EnvironmentRules, *, sets: bool) -> None:
    """Raise ConfigError or UsageError if --env may not pass `name` on or set it."""
    if name in rules.withheld:
        raise ConfigError(
            f"--env {name}: the command gets a placeholder in it or nothing, because the key stays outside.",
            hint="leave out --env, or the credential service",
        )
    try:
        check_fixed_name(name)
        hint = f"--env {name}=VALUE sets it"
    except ValueError:
        if sets:
            raise UsageError(f"--env {name!a}: a variable of that name may not be set.") from None
        hint = None
    verdict = None if sets else judge(name, "", rules)
    if isinstance(verdict, Withheld):
        raise ConfigError(f"--env {name}: it is not passed on: {verdict.reason}.", hint=hint)


def _custom_readers(settings: Profile) -> Iterator[tuple[str, str]]:
    """Yield each variable from which one of the profile's services reads its key, with the service."""
    custom = settings.network.custom_credentials
    if not custom:
        return
    # Imported here: it imports re, and few profiles define services.
    from nono.policy.services.env_names import derived_variable

    for name, service in custom.items():
        key = service.credential_key or ""
        for variable in {service.env_var, derived_variable(key) if key else None}:
            if variable is not None:
                yield variable, name
