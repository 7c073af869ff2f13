"""Evaluate `when`, the systems to which an entry of a profile applies.

    [!]os[:...]    linux[:id[:version[:variant]]]    macos[:version]    windows[:version[:build]]

A list matches if one of its predicates does. A version may begin with ==, >=, <=, > or <; id is the ID of
os-release, or debian-like for every system that names debian in ID or ID_LIKE. An unknown OS never matches.
"""

from collections.abc import Mapping

from nono.named_tuple import NamedTuple

OS = "linux"
_SEGMENTS = {"linux": 4, "macos": 2, "windows": 3}
_COMPARATORS = ("==", ">=", "<=", ">", "<")
_FAMILY = "-like"


class Host(NamedTuple):
    """The fields of os-release(5) a predicate is matched against; empty without such a file."""

    id: str = ""
    id_like: tuple[str, ...] = ()
    version: str = ""
    variant: str = ""


def host_of(os_release: Mapping[str, str]) -> Host:
    return Host(
        id=os_release.get("ID", "linux"),
        id_like=tuple(os_release.get("ID_LIKE", "").split()),
        version=os_release.get("VERSION_ID", ""),
        variant=os_release.get("VARIANT_ID", ""),
    )


def holds(predicate: str, host: Host) -> bool:
    """Return True if the predicate matches `host`. Raises ValueError if `predicate` is malformed."""
    negated = predicate.startswith("!")
    name, *rest = predicate.removeprefix("!").split(":")
    if not name or "" in rest:
        raise ValueError("it has an empty segment")
    if len(rest) >= _SEGMENTS.get(name, 4):
        raise ValueError("it has a segment too many")
    version = rest[0 if name in ("macos", "windows") else 1 :][:1]
    for text in version:
        _compared(text)
    return (name == OS and _is_met(rest, host)) != negated


def _is_met(segments: list[str], host: Host) -> bool:
    wanted = dict(zip(("id", "version", "variant"), segments, strict=False))
    if "id" in wanted and not _is_of(wanted["id"], host):
        return False
    if "variant" in wanted and wanted["variant"] != host.variant:
        return False
    return "version" not in wanted or _is_version(wanted["version"], host.version)


def _is_of(wanted: str, host: Host) -> bool:
    if wanted.endswith(_FAMILY):
        family = wanted.removesuffix(_FAMILY)
        return family == host.id or family in host.id_like
    return wanted == host.id


def _is_version(text: str, version: str) -> bool:
    comparator, wanted = _compared(text)
    if not version:
        return False  # a rolling release has no version
    have = _numbers(version)
    # 24.04 matches any 24.04.x, and 24 any 24.x.
    have = have[: len(wanted)] if comparator in ("==", "<=", ">") else have
    match comparator:
        case "==":
            return have == wanted
        case ">=":
            return have >= wanted
        case "<=":
            return have <= wanted
        case ">":
            return have > wanted
    return have < wanted


def _compared(text: str) -> tuple[str, tuple[int, ...]]:
    comparator = next((each for each in _COMPARATORS if text.startswith(each)), "")
    digits = text.removeprefix(comparator)
    if not digits or not all(
        part.isascii() and part.isdigit() and len(part) < 10 for part in digits.split(".")
    ):
        raise ValueError(f"'{text}' is not a version such as 24.04 or >=24.04")
    return comparator or "==", _numbers(digits)


def _numbers(version: str) -> tuple[int, ...]:
    """Return the leading numbers of a version: 12.1-rc is (12,)."""
    found: list[int] = []
    for part in version.split("."):
        if not (part.isascii() and part.isdigit()):
            break
        found.append(int(part[:9]))
    return tuple(found)
