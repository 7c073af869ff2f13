"""Define a snapshot: one tree for each granted directory, stored as the difference from the one before."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Any

from nono.named_tuple import NamedTuple
from nono.undo.model.entry import FILE, Entry, from_json
from nono.undo.model.scope import Scope

# When a snapshot is taken: before the run, between two turns, after it; before and after a restore.
BASELINE, MARK, END, SAFETY, RESTORED = "baseline", "mark", "end", "safety", "restored"
_BEFORE, _BETWEEN, _AFTER = b'{"sha256":"', b'","snapshot":', b"}\n"
KINDS = (BASELINE, MARK, END, SAFETY, RESTORED)


Among = Mapping[str, Collection[str]]


class Tree(NamedTuple):
    """One granted directory. Paths are relative to it; "" is the directory itself."""

    path: str
    entries: Mapping[str, Entry]
    gaps: Mapping[str, str] = {}  # directories whose content was not seen, and why
    left_out: tuple[str, ...] = ()  # directories that were not to be walked; known to the walk alone
    left_out_files_in: tuple[str, ...] = ()  # directories in which other things were left out; likewise
    taken_over: Collection[str] = ()  # what shows the times of an earlier look, and was not read; likewise
    only: tuple[str, ...] | None = None  # as of a Scope: then the directory itself has no entry

    @property
    def scope(self) -> Scope:
        return Scope(self.path, self.only)


class Snapshot(NamedTuple):
    """All files at one time."""

    number: int
    kind: str
    label: str
    taken_unix_ms: int
    trees: tuple[Tree, ...]
    merkle_root: str | None = None  # None: a mark has none, because the command waits for the mark

    def tree(self, path: str) -> Tree:
        """Return the tree of a granted directory. Raises ValueError if there is none."""
        for tree in self.trees:
            if tree.path == path:
                return tree
        raise ValueError(f"no tree of {path}")


def to_json(snapshot: Snapshot, before: Snapshot | None, among: Among | None = None) -> bytes:
    """Return the snapshot as JSON: a baseline completely, others as the difference from `before`.

    among: For each tree, by path, the paths that may differ; None: all.
    """
    document = {
        "number": snapshot.number,
        "kind": snapshot.kind,
        "label": snapshot.label,
        "timestamp": str(snapshot.taken_unix_ms // 1000),
        "taken_unix_ms": snapshot.taken_unix_ms,
        "parent": None if before is None else before.number,
        "trees": [
            _to_document(tree, None if before is None else before.tree(tree.path), among)
            for tree in snapshot.trees
        ],
        "merkle_root": snapshot.merkle_root,
    }
    body = json.dumps(document, separators=(",", ":")).encode("ascii")
    return b"".join((_BEFORE, sha256(body).hexdigest().encode("ascii"), _BETWEEN, body, _AFTER))


def _to_document(tree: Tree, before: Tree | None, among: Among | None) -> dict[str, Any]:
    if before is None:
        changed, gone = tree.entries, list[str]()
    else:
        changed, gone = {}, []
        for path in differing(before, tree, among):
            entry = tree.entries.get(path)
            if entry is None:
                gone.append(path)
            else:
                changed[path] = entry
    document = {"path": tree.path, "entries": changed, "gone": gone, "gaps": dict(tree.gaps)}
    return document if tree.only is None else {**document, "only": tree.only}


def differing(before: Tree, after: Tree, among: Among | None) -> Iterator[str]:
    """Yield the paths whose entries differ, among `among` or all."""
    old, new = before.entries, after.entries
    if among is not None:
        yield from (path for path in among.get(after.path, ()) if old.get(path) != new.get(path))
        return
    for path, entry in new.items():
        known = old.get(path)
        if known is not entry and known != entry:  # most are the same object
            yield path
    yield from (path for path in old if path not in new)


def parse(content: bytes, before: Snapshot | None) -> Snapshot:
    """Parse the output of to_json(). Raises ValueError that names the wrong field."""
    start = len(_BEFORE) + 64 + len(_BETWEEN)
    body, digest = content[start : -len(_AFTER)], content[len(_BEFORE) : len(_BEFORE) + 64]
    if content != b"".join((_BEFORE, digest, _BETWEEN, body, _AFTER)):
        raise ValueError("it is damaged")
    if sha256(body).hexdigest().encode("ascii") != digest:
        raise ValueError("it is damaged")
    try:
        document = json.loads(body)
        if document["parent"] != (None if before is None else before.number):
            raise ValueError("it does not follow the one before")
        number, kind, label = document["number"], document["kind"], document["label"]
        if kind not in KINDS:
            raise ValueError(f"not a kind of snapshot: {kind}")
        trees = tuple(_tree(each, before) for each in document["trees"])
        return Snapshot(number, kind, label, document["taken_unix_ms"], trees, document["merkle_root"])
    except (KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"not a snapshot: {error!r}") from error


def _tree(document: Mapping[str, Any], before: Snapshot | None) -> Tree:
    path = document["path"]
    entries = {} if before is None else dict(before.tree(path).entries)
    for gone in document["gone"]:
        del entries[gone]
    entries.update(from_json(document["entries"]))
    only = document.get("only")
    return Tree(path, entries, document["gaps"], only=None if only is None else tuple(only))


def is_relative(path: str) -> bool:
    """Check that a path stays in its tree, whatever its components; "" is the tree itself."""
    return path == "" or not {"", ".", ".."}.intersection(path.split("/"))


def encoded(path: str) -> bytes:
    """Return the bytes of a path, which need not be UTF-8."""
    return path.encode("utf-8", "surrogateescape")


def sealed(snapshot: Snapshot) -> Snapshot:
    """Return the snapshot with its Merkle root."""
    return snapshot._replace(merkle_root=merkle_root(snapshot))


def merkle_root(snapshot: Snapshot) -> str:
    """Return the root over path and content of every file."""
    files: list[tuple[bytes, str]] = []
    for tree in snapshot.trees:
        top = encoded(tree.path.rstrip("/")) + b"/"
        for path, entry in tree.entries.items():
            if entry.kind == FILE and entry.content is not None:
                files.append((top + encoded(path), entry.content))
    return root_over(files)


def root_over(files: Iterable[tuple[bytes, str]]) -> str:
    """Return the root over paths and digests of contents, in the order of the components of the paths."""
    # No name has a NUL, and none is less: so a directory comes before its neighbours.
    found = sorted((full.replace(b"/", b"\0"), full, content) for full, content in files)
    return folded(sha256(b"\0" + full + bytes.fromhex(content)).digest() for _, full, content in found).hex()


def folded(leaves: Iterable[bytes]) -> bytes:
    level: Sequence[bytes] = list(leaves)
    if not level:
        return sha256(b"").digest()
    while len(level) > 1:
        pairs = [sha256(b"\1" + level[at] + level[at + 1]).digest() for at in range(0, len(level) - 1, 2)]
        level = pairs + list(level[len(level) & ~1 :])  # an odd last node is promoted
    return level[0]
