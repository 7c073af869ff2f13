"""Read the tree of a package that npx or uvx fetched: its name, and its files' digests as one text."""

from __future__ import annotations

import os
from collections.abc import Iterator
from posixpath import basename, dirname, join

from nono.digests import sha256
from nono.disk.regular_file import read_regular_file
from nono.named_tuple import NamedTuple
from nono.trust.json_text import parse_object

FILES_MAX = 50_000
BYTES_MAX = 512 * 1024 * 1024
_FILE_BYTES_MAX = 256 * 1024 * 1024
_NPX_BYTES_MAX = 1024 * 1024
_SKIPPED = frozenset({"__pycache__"})
_OF_INSTALLATION = frozenset({"uv_cache.json", ".package-lock.json"})  # differ between equal packages


class Package(NamedTuple):
    """A package as it is on the disk."""

    name: str  # npx:NAME or uvx:NAME, as it was requested
    manifest: bytes  # one line for each file: SHA-256 and path

    @property
    def sha256(self) -> str:
        return sha256(self.manifest).hexdigest()


def read(tree: str) -> Package:
    """Read the whole tree. Raises OSError or ValueError."""
    is_npx = basename(dirname(tree)) == "_npx"
    start = join(tree, "node_modules" if is_npx else "lib")
    lines = sorted(_lines(start))
    manifest = "".join(lines).encode("utf-8", "surrogateescape")
    return Package(_of_npx(tree) if is_npx else _of_uvx(lines), manifest)


def _lines(start: str) -> Iterator[str]:
    files = size = 0
    for number, (above, directories, names) in enumerate(os.walk(start, onerror=_raise)):
        if number > FILES_MAX:
            raise ValueError(f"more than {FILES_MAX} directories")
        directories[:] = [each for each in directories if each not in _SKIPPED]
        links = [each for each in directories if os.path.islink(join(above, each))]
        for name in (*names, *links):
            path = join(above, name)
            shown = path.removeprefix(f"{start}/")
            files += 1
            target = os.readlink(path) if os.path.islink(path) else None
            if "\n" in f"{shown}{target}":  # could pass for the lines of other files
                raise ValueError("a line break in the name of a file")
            if target is not None:
                yield f"-> {target}  {shown}\n"
            elif name not in _OF_INSTALLATION:
                content = read_regular_file(path, _FILE_BYTES_MAX)
                size += len(content)
                yield f"{sha256(content).hexdigest()}  {shown}\n"
            if files > FILES_MAX or size > BYTES_MAX:
                raise ValueError(f"more than {FILES_MAX} files or {BYTES_MAX >> 20} MiB")


def _raise(error: OSError) -> None:
    raise error


def _of_npx(tree: str) -> str:
    fields = parse_object(read_regular_file(join(tree, "package.json"), _NPX_BYTES_MAX), "package.json")
    match fields.get("_npx"):
        case {"packages": [*names]} if names and all(isinstance(each, str) for each in names):
            return f"npx:{','.join(map(str, names))}"
    raise ValueError("package.json does not say what was asked for")


def _of_uvx(lines: list[str]) -> str:
    """Return the name that was requested: pip's RECORD of each distribution marks it (PEP 376)."""
    ends = ".dist-info/REQUESTED\n"
    asked = [each.removesuffix(ends).rpartition("/")[2] for each in lines if each.endswith(ends)]
    if not asked:
        raise ValueError("no distribution in it was asked for")
    return f"uvx:{','.join(each.rpartition('-')[0] for each in asked)}"
