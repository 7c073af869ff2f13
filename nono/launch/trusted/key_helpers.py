"""Refuse a run whose command could change what a program obeys that prints keys outside the sandbox.

Settings name programs, as `agent-program` of GnuPG's gpg.conf does. Who writes them runs code outside.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from posixpath import join

from nono import paths
from nono.credentials.helpers.program import find_program
from nono.credentials.values.errors import CredentialUnavailable
from nono.errors import ConfigError
from nono.named_tuple import NamedTuple
from nono.policy.capability import Grant
from nono.policy.files.grants import at_every_mount, covering
from nono.policy.host_filesystem import HostFilesystem, way_to
from nono.policy.path_expansion import is_within
from nono.policy.resolve import Resolved
from nono.policy.services.key_reach import refuse_writable_program


class _Directory(NamedTuple):
    """Settings of a program."""

    variable: str
    usual: str | None = None  # without the variable: below the home, or below the configuration's directory


_GNUPG = _Directory("GNUPGHOME", "~/.gnupg")
_STORE = _Directory("PASSWORD_STORE_DIR", "~/.password-store")
_MANAGERS: Mapping[str, tuple[_Directory, ...]] = {
    "pass": (_GNUPG, _STORE),
    "op": (_Directory("OP_CONFIG_DIR", "op"),),
    "bw": (_Directory("BITWARDENCLI_APPDATA_DIR", "Bitwarden CLI"),),
}
# What another program uses is unknown; it is given these.
_OF_ANY = (
    *(each._replace(usual=None) for directories in _MANAGERS.values() for each in directories),
    _Directory("PASSWORD_STORE_EXTENSIONS_DIR"),
)
_LINKS_MAX = 1000  # looked at in a directory of settings


def refuse_writable_helpers(resolved: Resolved, environ: Mapping[str, str]) -> None:
    """Raise ConfigError if the command could write a password manager or the settings of such a program.

    What is read for its services, its own variables and its upstream proxy is looked at.
    """
    grants = resolved.capabilities.grants
    for service in resolved.services:
        refuse_writable_manager(service.name, service.references, grants, environ)
        if service.capture is not None or service.aws is not None:
            _refuse_writable_settings(service.name, _OF_ANY, grants, environ)
    for reference, variable in resolved.env_credentials:
        refuse_writable_manager(variable, (reference,), grants, environ)
    behind = None if resolved.proxy is None else resolved.proxy.upstream_proxy
    if behind is not None and behind.auth is not None:
        refuse_writable_manager(f"{behind.host}:{behind.port}", (behind.auth,), grants, environ)


def refuse_writable_manager(
    name: str, references: Sequence[str], grants: tuple[Grant, ...], environ: Mapping[str, str]
) -> None:
    """Do the same for credential references. `name`: What the keys are for."""
    for reference in references:
        manager = reference.partition("://")[0]
        directories = _MANAGERS.get(manager)
        if directories is None:
            continue
        _refuse_writable_settings(name, directories, grants, environ)
        try:
            program = find_program(manager, environ)
        except CredentialUnavailable:
            continue  # reading the key will report it
        for place in way_to(program):
            refuse_writable_program(name, place, grants, HostFilesystem())


def _refuse_writable_settings(
    name: str, directories: Sequence[_Directory], grants: tuple[Grant, ...], environ: Mapping[str, str]
) -> None:
    fs = HostFilesystem()
    written = [grant for grant in at_every_mount(grants, fs) if grant.access.writes]
    for directory in directories:
        path = _path(directory, environ)
        for grant in _reaching(path, written, fs) if path is not None else ():
            named = f", which {directory.variable} names" if environ.get(directory.variable) else ""
            raise ConfigError(
                f"credential '{name}': what prints its key obeys settings in '{path}'{named}. The command "
                f"may write {grant.path} (source: {grant.source}): it could run code outside the sandbox.",
                hint="keep it outside the grants",
            )


def _path(directory: _Directory, environ: Mapping[str, str]) -> str | None:
    named = environ.get(directory.variable)
    if not named and directory.usual is not None and not directory.usual.startswith("~/"):
        return join(paths.xdg(environ, "XDG_CONFIG_HOME", ".config"), directory.usual)
    path = named or directory.usual
    if path is None or not path.startswith("~/"):
        return path and join("/", path)  # where a helper starts
    return join(paths.home(environ), path.removeprefix("~/"))


def _reaching(path: str, written: Sequence[Grant], fs: HostFilesystem) -> Iterator[Grant]:
    """Yield the grants of the directory, of what lies in it, and of what decides what is found there."""
    real = fs.canonical(path) or path
    yield from (grant for grant in written if is_within(grant.path, real))
    for spelled in (path, *(join(real, each) for each in fs.links_in(real, _LINKS_MAX))):
        for place in way_to(spelled):
            yield from covering(written, place)
