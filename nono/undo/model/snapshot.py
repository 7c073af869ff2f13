"""All files of a moment: one tree for each granted directory, stored as what differs from the one before."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from posixpath import join
from typing import Any

from nono.named_tuple import NamedTuple
from nono.undo.model.entry import FILE, Entry, from_json, to_json

# What a snapshot is of: before the run, between two of its turns, after it; before and after a restore.
BASELINE, MARK, END, SAFETY, RESTORED = "baseline", "mark", "end", "safety", "restored"
KINDS = (BASELINE, MARK, END, SAFETY, RESTORED)


class Tree(NamedTuple):
    """One granted directory. Paths are relative to it, and "" is itself."""

    path: str
    entries: Mapping[str, Entry]
    gaps: Mapping[str, str] = {}  # directories whose content was not seen, and why


class Snapshot(NamedTuple):
    """One moment."""

    number: int
    kind: str
    label: str
    taken_unix_ms: int
    trees: tuple[Tree, ...]

    def tree(self, path: str) -> Tree:
        """Return the tree of a granted directory. Raises ValueError if it has none."""
        for tree in self.trees:
            if tree.path == path:
                return tree
        raise ValueError(f"no tree of {path}")


def to_document(snapshot: Snapshot, before: Snapshot | None) -> dict[str, Any]:
    """Return the snapshot as JSON types: the baseline whole, another as what differs from `before`."""
    trees = []
    for tree in snapshot.trees:
        old = {} if before is None else before.tree(tree.path).entries
        changed = {path: to_json(each) for path, each in tree.entries.items() if old.get(path) != each}
        gone = [path for path in old if path not in tree.entries]
        trees.append({"path": tree.path, "entries": changed, "gone": gone, "gaps": dict(tree.gaps)})
    return {
        "number": snapshot.number,
        "kind": snapshot.kind,
        "label": snapshot.label,
        "timestamp": str(snapshot.taken_unix_ms // 1000),
        "taken_unix_ms": snapshot.taken_unix_ms,
        "parent": None if before is None else before.number,
        "trees": trees,
        "merkle_root": merkle_root(snapshot),
    }


def parse(content: bytes, before: Snapshot | None) -> Snapshot:
    """Invert to_document(), from JSON. Raises ValueError that names the misfit."""
    try:
        document = json.loads(content)
        number, kind, label = document["number"], document["kind"], document["label"]
        taken, trees, root = document["taken_unix_ms"], document["trees"], document["merkle_root"]
        if type(number) is not int or kind not in KINDS or type(taken) is not int or type(label) is not str:
            raise ValueError("not a snapshot")
        if document["parent"] != (None if before is None else before.number):
            raise ValueError("it does not follow the one before")
        made = Snapshot(number, kind, label, taken, tuple(_tree(each, before) for each in trees))
    except (KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"not a snapshot: {error}") from error
    if merkle_root(made) != root:
        raise ValueError("its Merkle root is another")
    return made


def _tree(document: Mapping[str, Any], before: Snapshot | None) -> Tree:
    path = document["path"]
    entries = {} if before is None else dict(before.tree(path).entries)
    for gone in document["gone"]:
        del entries[gone]
    for name, fields in document["entries"].items():
        if not is_relative(name):
            raise ValueError(f"not a path in a tree: {name!r}")
        entries[name] = from_json(fields)
    return Tree(path, entries, {str(name): str(reason) for name, reason in document["gaps"].items()})


def is_relative(path: str) -> bool:
    """Check that a path stays in its tree, whatever its components are; "" is the tree itself."""
    return path == "" or not {"", ".", ".."}.intersection(path.split("/"))


def encoded(path: str) -> bytes:
    """Return the bytes of a path, which need not be UTF-8."""
    return path.encode("utf-8", "surrogateescape")


def merkle_root(snapshot: Snapshot) -> str:
    """Return the root over path and content of every file, in the order of their components."""
    found = {
        join(tree.path, path): entry.content
        for tree in snapshot.trees
        for path, entry in tree.entries.items()
        if entry.kind == FILE and entry.content is not None
    }
    leaves = (
        sha256(b"\0" + encoded(path) + bytes.fromhex(found[path])).digest()
        for path in sorted(found, key=lambda path: encoded(path).split(b"/"))
    )
    return folded(leaves).hex()


def folded(leaves: Iterable[bytes]) -> bytes:
    level: Sequence[bytes] = list(leaves)
    if not level:
        return sha256(b"").digest()
    while len(level) > 1:
        pairs = [sha256(b"\1" + level[at] + level[at + 1]).digest() for at in range(0, len(level) - 1, 2)]
        level = pairs + list(level[len(level) & ~1 :])  # an odd last node is promoted
    return level[0]
