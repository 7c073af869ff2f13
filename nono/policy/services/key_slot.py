"""Find and replace a key in a request target: in a path segment, or as a query parameter."""

from nono.named_tuple import NamedTuple

PLACEHOLDER = b"phantom"  # stands in the slot while a path is judged and recorded
_MAX_PAIRS = 200


class AmbiguousQueryError(ValueError):
    """Two parsers could disagree about which query parameter holds the key."""


class PathSlot(NamedTuple):
    """The key at target[start:end]; outer_start and outer_end bound the whole match of the pattern."""

    start: int
    end: int
    outer_start: int
    outer_end: int


def find_in_path(pattern: str, target: bytes, begin: int = 0) -> PathSlot | None:
    """Find the first match of `pattern` (``/bot{}/``) in the path of `target` from `begin` on; None if none.

    Without text after "{}" the key runs to the next slash or the end of the path.
    """
    before, _, after = pattern.encode("ascii").partition(b"{}")
    path = target.partition(b"?")[0]
    outer_start = path.find(before, begin)
    if outer_start < 0:
        return None
    start = outer_start + len(before)
    end = path.find(after or b"/", start)
    if end < 0:
        if after:
            return None
        end = len(path)
    return PathSlot(start, end, outer_start, end + len(after)) if end > start else None


def all_in_path(pattern: str, target: bytes) -> list[PathSlot]:
    """Find every match of `pattern`, from left to right; neighbours may share the slash between them."""
    before = pattern.encode("ascii").partition(b"{}")[0]
    found: list[PathSlot] = []
    begin = 0
    while (at := target.partition(b"?")[0].find(before, begin)) >= 0:
        slot = find_in_path(pattern, target, at)
        if slot is not None and slot.outer_start == at:
            found.append(slot)
            begin = slot.end
        else:
            begin = at + 1
    return found


def find_placeholder(pattern: str, target: bytes) -> PathSlot | None:
    """Find PLACEHOLDER in the path of `target`, surrounded by the text of `pattern`."""
    before, _, after = pattern.encode("ascii").partition(b"{}")
    marked = before + PLACEHOLDER + after
    path = target.partition(b"?")[0]
    found = path.find(marked)
    while found >= 0 and not after and path[found + len(marked) :][:1] not in (b"", b"/"):
        found = path.find(marked, found + 1)
    if found < 0:
        return None
    start = found + len(before)
    return PathSlot(start, start + len(PLACEHOLDER), found, found + len(marked))


def fill_path(target: bytes, slot: PathSlot, key: bytes, replacement: str | None = None) -> bytes:
    """Put `key` into the slot; `replacement`, if given, replaces the text of the whole pattern."""
    if replacement is None:
        return target[: slot.start] + key + target[slot.end :]
    before, _, after = replacement.encode("ascii").partition(b"{}")
    return target[: slot.outer_start] + before + key + after + target[slot.outer_end :]


def cut_from_path(target: bytes, slot: PathSlot) -> bytes:
    """Remove the pattern's text from `target`, and join its surroundings with exactly one slash."""
    head, tail = target[: slot.outer_start].rstrip(b"/"), target[slot.outer_end :].lstrip(b"/")
    return head + tail if tail.startswith(b"?") and head else head + b"/" + tail


def _is_named(pair: bytes, name: str) -> bool:
    # Imported here, as below: few keys stand in a query.
    from urllib.parse import unquote_plus

    return unquote_plus(pair.partition(b"=")[0].decode("ascii", "replace")) == name


def may_have(name: str, target: bytes) -> bool:
    """Return False if no reader of the query could find a parameter called `name`."""
    query = target.partition(b"?")[2]
    if not query:
        return False
    from urllib.parse import unquote_plus

    return name in unquote_plus(query.decode("ascii", "replace"))


def query_values(name: str, target: bytes) -> list[str]:
    """Return the decoded values of every parameter called `name`.

    Raises AmbiguousQueryError like without_query().
    """
    pairs = _pairs(name, target)
    values = [pair.partition(b"=")[2].decode("ascii", "replace") for pair in pairs if _is_named(pair, name)]
    from urllib.parse import unquote_plus

    return [unquote_plus(value) for value in values]


def without_query(name: str, target: bytes) -> bytes:
    """Remove every parameter called `name`, however the name is encoded.

    Raises AmbiguousQueryError if one follows a semicolon, which some servers take for a separator, or if the
    query has too many parameters.
    """
    path, mark, _ = target.partition(b"?")
    kept = [pair for pair in _pairs(name, target) if not _is_named(pair, name)]
    return path + mark + b"&".join(kept) if kept else path


def with_query(name: str, target: bytes, value: bytes) -> bytes:
    """Replace all parameters called `name` by one at the end. `value` must be percent-encoded already."""
    bare = without_query(name, target)
    return bare + (b"&" if b"?" in bare else b"?") + name.encode("ascii") + b"=" + value


def _pairs(name: str, target: bytes) -> list[bytes]:
    query = target.partition(b"?")[2]
    pairs = query.split(b"&") if query else []
    if len(pairs) > _MAX_PAIRS:
        raise AmbiguousQueryError("the query has too many parameters")
    for pair in pairs:
        if any(_is_named(part, name) for part in pair.split(b";")[1:]):
            raise AmbiguousQueryError(f"the query parameter {name!r} stands behind a semicolon")
    return pairs
