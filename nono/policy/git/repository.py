"""Find the git repository of a working directory if its data is outside, so that both are granted.

A command may write the ``.git`` file of its working directory, so its target is trusted only if git's own
record there points back. Formats: gitrepository-layout(5), gitglossary(7) ("gitfile").
"""

from __future__ import annotations

from itertools import pairwise
from posixpath import basename, dirname, join, normpath

from nono.named_tuple import NamedTuple
from nono.policy.path_expansion import Filesystem, is_within

GITFILE = "gitdir:"
_LEVELS_MAX = 64
HOOK_NAMES = frozenset({  # githooks(5)
    "applypatch-msg", "commit-msg", "fsmonitor-watchman", "p4-changelist", "p4-post-changelist",
    "p4-pre-submit", "p4-prepare-changelist", "post-applypatch", "post-checkout", "post-commit",
    "post-index-change", "post-merge", "post-receive", "post-rewrite", "post-update", "pre-applypatch",
    "pre-auto-gc", "pre-commit", "pre-merge-commit", "pre-push", "pre-rebase", "pre-receive",
    "prepare-commit-msg", "proc-receive", "push-to-checkout", "reference-transaction",
    "sendemail-validate", "update",
})  # fmt: skip


class Repository(NamedTuple):
    """The repository that git finds from a working directory. Paths are canonical."""

    directory: str  # with objects, references, settings and hooks
    top: str  # root of the working tree that contains the working directory

    @property
    def hooks(self) -> str:
        return join(self.directory, "hooks")

    @property
    def settings(self) -> str:
        return join(self.directory, "config")


def repository_of(workdir: str, home: str, fs: Filesystem) -> Repository | None:
    """Return the repository of a canonical `workdir`, found as git finds it.

    None if there is none, if it belongs to another user or covers the whole home directory, or if it is not
    certain that the working directory is part of it.
    """
    top = workdir
    for _ in range(_LEVELS_MAX):
        entry = fs.entry(join(top, ".git"))
        if entry is not None:
            break
        if top == workdir and is_repository(top, fs):
            return Repository(top, top)  # a bare one
        if top == "/":
            return None
        top = dirname(top)
    else:
        return None
    # A user with the whole home directory in git does not mean to share it by granting a project.
    if top != workdir and (is_within(home, top) or not entry.is_own):
        return None
    if entry.kind == "dir":
        found = join(top, ".git")
    elif entry.kind == "file":
        found = _linked(top, fs, is_workdir=top == workdir) or ""
    else:
        return None
    return Repository(found, top) if found and is_repository(found, fs) else None


def led_to(pointer: str, text: str) -> str:
    """Return where a gitfile, or the file ``commondir`` or ``gitdir`` of a repository, leads.

    It is normalised, unless ".." follows a name, which may be a link. Blanks are part of a path.
    """
    if basename(pointer) == ".git":
        text = text.removeprefix(GITFILE).removeprefix(" ")
    text = text.rstrip("\r\n").partition("\0")[0]
    found = join(dirname(pointer), text)
    names = [name for name in text.split("/") if name not in ("", ".")]
    goes_back = any(name == ".." and before != ".." for before, name in pairwise(names))
    return found if goes_back else normpath(found)


def _linked(top: str, fs: Filesystem, *, is_workdir: bool) -> str | None:
    """Return the repository that a gitfile names, if it points back or lies in the working directory."""
    text = fs.text(join(top, ".git")) or ""
    if not text.startswith(GITFILE):
        return None
    own = fs.canonical(join(top, text.removeprefix(GITFILE).strip()))
    entry = None if own is None else fs.entry(own)
    if own is None or entry is None or not entry.is_own:
        return None
    back = fs.text(join(own, "gitdir"))
    if back is not None:  # a worktree's, in REPOSITORY/worktrees/NAME
        is_right = normpath(join(own, back.strip())) == join(top, ".git")
        is_in_place = basename(dirname(own)) == "worktrees"
        return dirname(dirname(own)) if is_right and is_in_place else None
    if is_workdir and own != top and is_within(own, top):
        return own
    worktree = _worktree(fs.text(join(own, "config")) or "")
    is_submodules = worktree is not None and fs.canonical(join(own, worktree)) == top
    return own if is_submodules else None


def may_be_repository(path: str, fs: Filesystem) -> bool:
    """Return True for whatever git may take for one, with links and parts that lie elsewhere."""
    parts = {name for name in ("HEAD", "commondir", "objects", "refs") if fs.entry(join(path, name))}
    return "HEAD" in parts and ("commondir" in parts or len(parts) == 3)


def is_repository(path: str, fs: Filesystem) -> bool:
    """Apply git's own test (is_git_directory in setup.c), to what git itself makes."""
    kinds = [fs.entry(join(path, name)) for name in ("HEAD", "objects", "refs")]
    return [entry and entry.kind for entry in kinds] == ["file", "dir", "dir"]


def _worktree(config: str) -> str | None:
    """Return the last plain core.worktree of a config, in the form that git writes."""
    here, found = "", None
    for line in config.splitlines():
        line = line.strip()
        if line.startswith("["):
            here = line.strip("[]").lower()
        elif here == "core" and "=" in line:
            key, _, value = line.partition("=")
            if key.strip().lower() == "worktree":
                found = value.strip().strip('"')
    return found
