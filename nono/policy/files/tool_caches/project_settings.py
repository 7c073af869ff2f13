"""Find where a project's own settings keep a tool's cache, which the tool's variable would overrule."""

from __future__ import annotations

from collections.abc import Mapping
from posixpath import join

from nono.named_tuple import NamedTuple
from nono.policy.capability import Access
from nono.policy.files.denials import DenyRules
from nono.policy.files.grants import GrantTable
from nono.policy.path_expansion import Filesystem, ancestry, canonical_as_far

_TOML_STEPS_MAX = 1_000_000  # some 25 ms
_TOML_CHARACTERS_MAX = 128 * 1024  # 0.1 s at worst, for each of four files in each directory


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
    variable: str, workdir: str, held: GrantTable, denials: DenyRules, fs: Filesystem
) -> bool:
    """Return True if settings of the project name a cache that the run may write.

    workdir: canonical; settings are looked for there and in the granted directories above.
    """
    settings = _OF_VARIABLES.get(variable)
    if settings is None:
        return False
    for directory in sorted(ancestry(workdir), key=len, reverse=True):
        if held.accesses(directory) is None:
            break
        for file, section in settings.files:
            text = fs.text(join(directory, file)) or ""
            value = _of_toml if file.endswith(".toml") else _of_ini
            named = value(text, section, settings.name) if settings.name in text else None
            if named is None:
                continue
            base = directory if settings.is_relative_to_file else workdir
            place = canonical_as_far(join(base, named), fs)
            is_plain = not named.startswith("~") and "$" not in named
            return is_plain and denials.covering(place) is None and held.accesses(place) is Access.READWRITE
    return False


def _of_toml(text: str, section: str, name: str) -> str | None:
    """Return a setting of a TOML file, however spelled; None if it has none, or would take long to read."""
    # A dotted key takes as many steps as the square of its parts, and a command could have written it.
    steps = sum(line.count(".") ** 2 for line in text.split("\n"))
    if steps > _TOML_STEPS_MAX or len(text) > _TOML_CHARACTERS_MAX:
        return None
    # Imported here: few projects name a cache.
    import tomllib

    try:
        table: object = tomllib.loads(text)
    except (ValueError, RecursionError):
        return None
    for key in (*filter(None, section.split(".")), name):
        table = table.get(key) if isinstance(table, dict) else None
    return table if isinstance(table, str) and table else None


def _of_ini(text: str, section: str, name: str) -> str | None:
    """Return a setting of an INI file."""
    here = ""
    for line in map(str.strip, text.splitlines()):
        if line.startswith("["):
            here = line[1:].partition("]")[0].strip()
            continue
        key, equals, value = line.partition("=")
        if equals and here == section and key.strip() == name:
            return value.partition(" #")[0].strip().strip("\"'") or None
    return None
