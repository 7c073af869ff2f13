"""Take a snapshot of the granted part of one directory, or look at some of its paths again."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from posixpath import basename, dirname

from nono.disk.descriptor import DIRECTORY_FLAGS
from nono.undo.beneath import opened_directory, opened_parent, opened_root
from nono.undo.contents.store import QuotaError
from nono.undo.looking import AttributesError, attributes_of, entry_of, look
from nono.undo.model.entry import DIRECTORY, FILE
from nono.undo.model.left_out import is_left_out
from nono.undo.model.snapshot import Tree
from nono.undo.opening import let_owner_in
from nono.undo.walking import TooMuchError, Walk, Walker


def take(root: str, walk: Walk, only: Sequence[str] | None = None) -> Tree:
    """Return the tree of a directory given by its canonical path.

    only: The names in it to look at; None: all.
    Raises OSError if the directory cannot be opened, TooMuchError if it holds more than may be kept.
    """
    # A command that was granted only files cannot have closed the directory that holds them.
    if only is None and walk.opened is not None and let_owner_in(root):
        walk.opened.append("")
    with (
        opened_root(root, lists=only is None) as directory,
        ThreadPoolExecutor(os.cpu_count() or 1) as pool,
    ):
        taking = Walker(walk, pool)
        try:
            return taking.tree(root, directory) if only is None else taking.named(root, directory, only)
        except QuotaError as error:
            if isinstance(error, AttributesError):
                raise TooMuchError(
                    "attributes", taking.largest(lambda entry: len(entry.attributes))
                ) from error
            largest = taking.largest(lambda entry: entry.size if entry.kind == FILE else 0, error)
            raise TooMuchError("bytes", largest) from error
        except OSError:
            raise  # the next walk may succeed
        except BaseException:
            # Interrupted: stop the reads, because the pool waits for its threads and one file can be large.
            if walk.store is not None:
                walk.store.give_up()
            raise


def take_below(tree: Tree, paths: Iterable[str], walk: Walk) -> tuple[Tree, set[str]]:
    """Look again at these paths and everything below them. Returns the new tree and the paths looked at.

    paths: Relative. The directories that hold them are looked at too, but not walked.
    Raises as take() does.
    """
    entries, looked, wanted = dict(tree.entries), set[str](), set(paths)
    if tree.only is not None:
        names = [name for name in tree.only if name in wanted]
        found = take(tree.path, walk._replace(before={}), names)
        entries = {name: entry for name, entry in entries.items() if name not in names} | dict(found.entries)
        return tree._replace(entries=entries), set(names)
    gaps = {path: reason for path, reason in tree.gaps.items() if path not in wanted}
    directories = tuple(f"{path}/" for path in wanted if path in entries and entries[path].kind == DIRECTORY)
    gone = wanted & entries.keys()
    if directories:
        gone |= {path for path in entries if path.startswith(directories)}
    for path in gone:
        del entries[path]
    with opened_root(tree.path) as root, ThreadPoolExecutor(1) as pool:
        for path in wanted:
            found = _below(root, path, walk, pool)
            entries |= found.entries
            gaps |= found.gaps
            looked |= found.entries.keys()
        parents = {dirname(path) for path in wanted} - wanted
        for parent in parents:
            with suppress(OSError), opened_directory(root, parent) as directory:
                entries[parent] = entry_of(
                    os.fstat(directory), None, attributes_of(directory, walk.allowance)
                )
    return Tree(tree.path, entries, gaps), looked | gone | parents


def _below(root: int, path: str, walk: Walk, pool: ThreadPoolExecutor) -> Tree:
    if is_left_out(path, walk.sieve):
        return Tree("", {})
    try:
        with opened_parent(root, path) as parent:
            entry = look(parent, basename(path) or ".", walk.store, None, walk.allowance)
            if entry is None:
                return Tree("", {})
            if entry.kind != DIRECTORY:
                return Tree("", {path: entry})
            try:
                directory = os.open(basename(path) or ".", DIRECTORY_FLAGS, dir_fd=parent)
            except PermissionError:
                return Tree("", {path: entry}, {path: os.strerror(errno.EACCES)})
            try:
                return Walker(walk, pool).tree("", directory, path)
            finally:
                os.close(directory)
    except (QuotaError, TooMuchError):
        raise
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EXDEV):
            return Tree("", {})  # a part of the path is gone, or has become a link
        if error.errno == errno.EACCES:  # record the gap that a walk would find
            return Tree("", {}, {dirname(path): os.strerror(error.errno)})
        raise
