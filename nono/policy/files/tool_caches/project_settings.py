"""Find where a project's own settings keep a tool's cache, which the tool's variable would overrule."""

from __future__ import annotations

from collections.abc import Mapping
from posixpath import join

from nono.named_tuple import NamedTuple
from nono.policy.capability import Access
from nono.policy.files.denials import DenyRules
from nono.policy.files.grants import Held
from nono.policy.path_expansion import Filesystem, ancestry, canonical_as_far


class _Settings(NamedTuple):
    """Where a tool is told its cache directory."""

    files: tuple[tuple[str, str], ...]  # with the section, in the tool's order; "": before any section
    name: str
    is_relative_to_file: bool


_OF_VARIABLES: Mapping[str, _Settings] = {
    "MYPY_CACHE_DIR": _Settings(
        (("mypy.ini", "mypy"), (".mypy.ini", "mypy"), ("pyproject.toml", "tool.mypy"), ("setup.cfg", "mypy")),
        "cache_dir",
        is_relative_to_file=False,
    ),
    "RUFF_CACHE_DIR": _Settings(
        ((".ruff.toml", ""), ("ruff.toml", ""), ("pyproject.toml", "tool.ruff")),
        "cache-dir",
        is_relative_to_file=True,
    ),
}


def project_keeps_its_own(
    variable: str, workdir: str, held: Held, denials: DenyRules, fs: Filesystem
) -> bool:
    """Return True if settings of the project name a cache that the run may write.

    workdir: canonical; settings are looked for there and in the granted directories above.
    """
    settings = _OF_VARIABLES.get(variable)
    if settings is None:
        return False
    for directory in sorted(ancestry(workdir), key=len, reverse=True):
        if held.on(directory) is None:
            break
        for file, section in settings.files:
            text = fs.text(join(directory, file)) or ""
            named = _value(text, section, settings.name) if settings.name in text else None
            if named is None:
                continue
            base = directory if settings.is_relative_to_file else workdir
            place = canonical_as_far(join(base, named), fs)
            is_plain = not named.startswith("~") and "$" not in named
            return is_plain and denials.covering(place) is None and held.on(place) is Access.READWRITE
    return False


def _value(text: str, section: str, name: str) -> str | None:
    """Return a setting of a file in TOML or of an INI file, without its quotes."""
    here = ""
    for line in map(str.strip, text.splitlines()):
        if line.startswith("["):
            here = line[1:].partition("]")[0].strip()
            continue
        key, equals, value = line.partition("=")
        if equals and here == section and key.strip() == name:
            return value.partition(" #")[0].strip().strip("\"'") or None
    return None
