"""Record the packages of npx and uvx that a command has used, by digest, and say which have changed."""

from __future__ import annotations

from collections.abc import Iterable

from nono.audit import event
from nono.errors import in_words
from nono.launch.session import Session
from nono.trust.disk import package_tree
from nono.trust.disk.memory_file import MemoryFile
from nono.trust.memory import Memory


def conclude(session: Session, root: str, trees: Iterable[str]) -> None:
    """Record the packages of a run that has ended, in their present state.

    A package seen for the first time is approved. A changed one is asked about before the next run.
    """
    memory_file = MemoryFile(root, session.environ)
    try:
        before = memory_file.read() or Memory()
    except (OSError, ValueError) as error:
        session.warn(f"the packages of this run cannot be compared: {in_words(error)}")
        return
    # The package chooses its name. A known package keeps the name that was approved.
    names = {tree: name for name, tree in before.packages.items()}
    found: dict[str, str] = {}
    digests: dict[str, str] = {}
    contents: dict[str, bytes] = {}
    for tree in sorted(trees):
        try:
            package = package_tree.read(tree)
        except (OSError, ValueError) as error:
            session.warn(f"the package in {tree} cannot be read: {in_words(error)}")
            continue
        name = names.get(tree, package.name)
        session.record(event.package_used(name, tree, package.sha256))
        found[name], digests[name] = tree, package.sha256
        if name not in before.approved:
            contents[package.sha256] = package.manifest
    if not found:
        return

    def change(memory: Memory) -> Memory:
        return memory._replace(packages={**memory.packages, **found}, approved={**digests, **memory.approved})

    try:
        memory_file.change(change, contents)
    except (OSError, ValueError) as error:
        session.warn(f"the packages of this run cannot be remembered: {in_words(error)}")
    for name, digest in digests.items():
        if before.approved.get(name, digest) != digest:
            session.warn(f"{name} has changed since it was approved; nono trust approve shows what, and asks")
