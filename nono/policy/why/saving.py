"""Turn the flags that would have allowed a denied access into entries of a profile."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from posixpath import basename
from typing import Any

from nono.named_tuple import NamedTuple
from nono.policy.path_expansion import is_pattern, is_within

LONGEST = 400  # characters of a value a person would still read

_FILES, _NETWORK = "filesystem", "network"
_FIELDS: Mapping[str, tuple[str, str]] = {
    "--allow": (_FILES, "allow"),
    "--read": (_FILES, "read"),
    "--write": (_FILES, "write"),
    "--allow-file": (_FILES, "allow_file"),
    "--read-file": (_FILES, "read_file"),
    "--write-file": (_FILES, "write_file"),
    "--allow-unix-socket": (_FILES, "unix_socket"),
    "--allow-unix-socket-bind": (_FILES, "unix_socket_bind"),
    "--bypass-protection": (_FILES, "bypass_protection"),
    "--allow-domain": (_NETWORK, "allow_domain"),
    "--mcp-server": (_NETWORK, "mcp_servers"),
    "--open-port": (_NETWORK, "open_port"),
    "--allow-connect-port": (_NETWORK, "connect_port"),
    "--listen-port": (_NETWORK, "listen_port"),
}
_NUMBER = re.compile(r"(?<![A-Za-z0-9])[0-9]+(?![A-Za-z0-9])")
_OF_PROCESS = re.compile(r"/proc/[0-9]+(/|$)")
_SINGLE = ("network_profile",)  # a value, not a list
_PORTS = ("open_port", "connect_port", "listen_port")


class Entry(NamedTuple):
    """One entry of a list in a profile."""

    section: str
    field: str
    value: str | int

    def __str__(self) -> str:
        return f"{self.section}.{self.field}: {self.value}"


class Addition(NamedTuple):
    """The entries that would allow one denied access."""

    entries: tuple[Entry, ...]

    @property
    def is_sensitive(self) -> bool:
        """True if it lifts the protection of a path."""
        return any(entry.field == "bypass_protection" for entry in self.entries)

    @property
    def names_host(self) -> bool:
        """True if it allows a host."""
        return any(entry.field == "allow_domain" for entry in self.entries)

    @property
    def names_process(self) -> bool:
        """True if it names a process of this run, and so would allow nothing in the next one.

        That is a socket to bind whose name contains a separate number (`1234.sock`), or a path below
        /proc/PID. A socket to connect to may have such a name permanently: `.s.PGSQL.5432` ends in a port.
        """
        return any(
            (entry.field == "unix_socket_bind" and _NUMBER.search(basename(str(entry.value))) is not None)
            or (entry.section == _FILES and _OF_PROCESS.match(str(entry.value)) is not None)
            for entry in self.entries
        )

    @property
    def path(self) -> str | None:
        """The path it concerns, if any."""
        return next((str(entry.value) for entry in self.entries if entry.section == _FILES), None)


def additions(flags: Iterable[str], home: str) -> list[Addition]:
    """Return one addition for each flag a profile can express; paths under home begin with ``~/``."""
    found = (_addition(flag, home) for flag in flags)
    return list(dict.fromkeys(each for each in found if each is not None))


def _addition(flag: str, home: str) -> Addition | None:
    try:
        words = shlex.split(flag)
    except ValueError:
        return None
    pairs = list(zip(words[::2], words[1::2], strict=False))
    if not pairs or len(words) % 2 or any(name not in _FIELDS for name, _ in pairs):
        return None
    if any(not is_said(value, is_path=_FIELDS[name][0] == _FILES) for name, value in pairs):
        return None
    return Addition(tuple(_entry(name, value, home) for name, value in pairs))


def is_said(value: str, *, is_path: bool) -> bool:
    """Return True if a profile reads `value` as that very text, and a person can."""
    # A profile would expand $NAME, and search the disk for what matches a path with `*`.
    is_more = "$" in value or (is_path and is_pattern(value))
    return len(value) <= LONGEST and value.isprintable() and not is_more


def _entry(name: str, value: str, home: str) -> Entry:
    section, field = _FIELDS[name]
    if field in _PORTS:
        return Entry(section, field, int(value))
    return Entry(section, field, shortened(value, home) if section == _FILES else value)


def shortened(path: str, home: str) -> str:
    """Spell a path below the home directory with ``~``."""
    return f"~{path[len(home) :]}" if home != "/" and is_within(path, home) else path


def without_suppressed(found: Iterable[Addition], suppressed: Sequence[str], home: str) -> list[Addition]:
    """Drop additions about a suppressed path or one below it. `suppressed` holds absolute paths."""

    def spelled_out(path: str) -> str:
        return f"{home}{path[1:]}" if path.startswith("~/") or path == "~" else path

    return [
        each
        for each in found
        if each.path is None or not any(is_within(spelled_out(each.path), path) for path in suppressed)
    ]


def suppressing(found: Iterable[Addition]) -> list[Addition]:
    """Return the additions that stop questions about these paths."""
    paths = (each.path for each in found)
    return [Addition((Entry(_FILES, "suppress_save_prompt", path),)) for path in dict.fromkeys(paths) if path]


def added(document: Mapping[str, Any], granted: Iterable[Addition]) -> dict[str, Any]:
    """Add the entries to a profile. Raises TypeError if a section or list has another type."""
    changed = deepcopy(dict(document))
    for addition in granted:
        for section, field, value in addition.entries:
            if field in _SINGLE:
                changed.setdefault(section, {})[field] = value
                continue
            entries = changed.setdefault(section, {}).setdefault(field, [])
            if not isinstance(entries, list):
                raise TypeError(f"{section}.{field} is not a list")
            if value not in entries:
                entries.append(value)
    return changed
