"""Expand the paths of a policy: variables, the home directory, canonical forms.

This module never touches the disk; the caller supplies a Filesystem that does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from posixpath import basename, dirname, isabs, join, normpath

from nono import paths
from nono.errors import NonoError
from nono.named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal, Protocol
else:
    Protocol = object

type Kind = Literal["dir", "file", "device", "socket", "other"]
type EntryKind = Literal["dir", "link", "file"]  # "file": anything else

# These refer to the process that opens them, so the launcher resolves them again in the child (proc(5)).
CHILD_RELATIVE_DIRECTORIES = ("/proc/self", "/proc/thread-self", "/dev/fd")
CHILD_RELATIVE_FILES = ("/dev/stdin", "/dev/stdout", "/dev/stderr")
XDG = ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME")  # base directories
_MAY_DIFFER = ("/proc/", "/dev/")  # the beginnings of these, which a hundred paths do not have


_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_")


class Entry(NamedTuple):
    """A directory entry, with symlinks not followed."""

    kind: EntryKind
    names: int  # number of hard links to the inode
    target: str | None = None  # the text of a symlink
    is_own: bool = True  # it belongs to this user
    is_public: bool = True  # everybody on the machine may read it, and enter it if it is a directory


class Holder(NamedTuple):
    """The mount that holds a path."""

    point: str
    type: str  # of the file system, as in filesystems(5)


class Filesystem(Protocol):
    """The questions a policy asks about the disk."""

    def canonical(self, path: str) -> str | None:
        """Resolve symlinks and dot segments; None if the path does not exist or is unreachable."""

    def kind(self, path: str) -> Kind | None:
        """Return the file type with symlinks followed; None if the path does not exist or is unreachable."""

    def names(self, path: str) -> list[str]:
        """List a directory, sorted; empty if it is not a directory or is unreadable."""

    def links_in(self, path: str, at_most: int) -> list[str]:
        """Name the symlinks among the first `at_most` entries of a directory, sorted; empty like names()."""

    def entry(self, path: str) -> Entry | None:
        """Describe the entry at `path` itself; None if there is none or it is unreachable."""

    def text(self, path: str) -> str | None:
        """Return the content of a small text file; None if it is a link, another kind or unreadable."""

    def aliases(self, path: str, *, of_tree: bool = False) -> tuple[str, ...]:
        """Return the other paths at which mounts show the inode at a canonical `path`.

        of_tree: Also return those that show a part of the tree below it, and layers of an overlay.
        """

    def holder(self, path: str) -> Holder | None:
        """Return the mount that holds a canonical `path`; None if that is unknown."""


class UnsetVariableError(ValueError):
    """A path names an environment variable that is unset or empty."""

    def __init__(self, variable: str) -> None:
        super().__init__(f"${variable} is not set")
        self.variable = variable


class PathContext(NamedTuple):
    """The directories against which a policy's paths are expanded; all absolute."""

    home: str
    cwd: str  # where nono was started: base of command-line paths
    workdir: str  # $WORKDIR: base of a profile's relative paths
    environ: Mapping[str, str]
    uid: int | None = None

    @property
    def tmpdir(self) -> str:
        """$TMPDIR, or /tmp. Raises NonoError if TMPDIR is relative."""
        value = self.environ.get("TMPDIR") or "/tmp"
        if not isabs(value):
            raise NonoError("Environment variable 'TMPDIR' validation failed: it must be an absolute path.")
        return value.rstrip("/") or "/"

    def built_in(self, name: str) -> str | None:
        """Return a built-in variable, which the environment cannot redirect; None for other names."""
        match name:
            case "HOME":
                return self.home
            case "UID":
                return None if self.uid is None else str(self.uid)
            case "WORKDIR":
                return self.workdir
            case "TMPDIR":
                return self.tmpdir
            case "NONO_CONFIG":
                return paths.config_dir(self.environ)
            case "NONO_PACKAGES":
                return join(paths.config_dir(self.environ), "packages")
            case "XDG_CONFIG_HOME":
                return paths.xdg(self.environ, name, ".config")
            case "XDG_DATA_HOME":
                return paths.xdg(self.environ, name, ".local/share")
            case "XDG_STATE_HOME":
                return paths.xdg(self.environ, name, ".local/state")
            case "XDG_CACHE_HOME":
                return paths.xdg(self.environ, name, ".cache")
        return None

    def expand(self, text: str) -> str:
        """Replace every $NAME in `text`; built-in names win over the environment.

        Raises UnsetVariableError if a name is in neither. ``${NAME}`` is not a reference and stays.
        """

        def value(name: str) -> str:
            known = self.built_in(name) or self.environ.get(name)
            if not known:
                raise UnsetVariableError(name)
            return known

        return _replaced(text, value)

    def expand_built_in(self, text: str) -> str:
        """Replace nono's own variables and a leading ``~``; the program may want the other references."""
        return self._at_home(_replaced(text, lambda name: self.built_in(name) or f"${name}"))

    def of_group(self, text: str) -> str:
        """Return the absolute path of a group's entry.

        Raises NonoError if its variable is unset or relative.
        """
        try:
            path = self._at_home(self.expand(text))
        except UnsetVariableError as unset:
            raise NonoError(f"policy path '{text}': {unset}.") from unset
        if not isabs(path):
            raise NonoError(f"policy path '{text}' must be an absolute path.")
        return path

    def of_denial(self, text: str) -> str | None:
        """Return the absolute path that a group denies; None if its variable is unset."""
        try:
            return join(self.cwd, self._at_home(self.expand(text)))
        except UnsetVariableError:
            return None

    def of_profile(self, text: str) -> str:
        """Return the absolute path of a profile's entry. Raises UnsetVariableError like expand()."""
        return join(self.workdir, self._at_home(self.expand(text)))

    def begins_in_workdir(self, text: str) -> bool:
        """Return True if a profile's entry, as written, is below $WORKDIR. Raises like of_profile()."""
        return text.split("/", 1)[0] == "$WORKDIR" or not isabs(self._at_home(self.expand(text)))

    def of_flag(self, text: str) -> str:
        """Return the absolute path of a command-line value; the shell has expanded all but a quoted ``~``."""
        return join(self.cwd, self._at_home(text))

    def _at_home(self, text: str) -> str:
        return self.home + text[1:] if text == "~" or text.startswith("~/") else text


def _replaced(text: str, value: Callable[[str], str]) -> str:
    """Replace every $NAME by value(NAME). Written by hand, because nothing else on this path imports re."""
    if "$" not in text:
        return text
    head, *pieces = text.split("$")
    parts = [head]
    for piece in pieces:
        name = piece[: _name_length(piece)]
        parts.append(value(name) + piece[len(name) :] if name else f"${piece}")
    return "".join(parts)


def _name_length(text: str) -> int:
    """Return the length of the variable name [A-Za-z_][A-Za-z0-9_]* that `text` starts with."""
    first = text.partition("/")[0]
    if first.isascii() and first.isidentifier():
        return len(first)  # nearly always
    for length, character in enumerate(text):
        if character not in _LETTERS and (length == 0 or character not in "0123456789"):
            return length
    return len(text)


def is_child_relative(path: str) -> bool:
    """Return True for the paths that refer to the process that opens them, as they are spelled."""
    return path in CHILD_RELATIVE_DIRECTORIES or path in CHILD_RELATIVE_FILES


def differs_by_process(path: str) -> bool:
    """Return True if what is at a canonical `path` belongs to the process that opens it (proc(5))."""
    return path.startswith(_MAY_DIFFER) and any(
        is_within(path, own) for own in (*CHILD_RELATIVE_DIRECTORIES, *CHILD_RELATIVE_FILES)
    )


def is_pattern(text: str) -> bool:
    """Return True if a profile's entry is a pattern (nono.policy.files.path_patterns)."""
    return "*" in text


def is_within(path: str, root: str) -> bool:
    """Return True if `path` is `root` or lies below it, compared by component."""
    return path == root or path.startswith(root.rstrip("/") + "/")


def ancestry(path: str) -> frozenset[str]:
    """Return `path` and every directory above it, so that `path` is within exactly these.

    `path` must be absolute and normalised.
    """
    upward = {path, "/"}
    while above := path.rpartition("/")[0]:
        upward.add(above)
        path = above
    return frozenset(upward)


def canonical_as_far(path: str, fs: Filesystem) -> str:
    """Canonicalise the existing part of `path` and append the rest."""
    if (whole := fs.canonical(path)) is not None:
        return whole
    head, missing = path, ""
    while (found := fs.canonical(head)) is None and head not in ("", "/"):
        head = head.rstrip("/")
        missing = join(basename(head), missing) if missing else basename(head)
        head = dirname(head)
    return "/" + normpath(join(found or "/", missing)).lstrip("/")


def parent_resolved(path: str, fs: Filesystem) -> str:
    """Canonicalise all but the last component: the name of a symlink rather than its target."""
    lexical = path.rstrip("/")
    if basename(lexical) in ("", ".", ".."):
        return canonical_as_far(path, fs)
    return join(canonical_as_far(dirname(lexical), fs), basename(lexical))


def rule_path(path: str, fs: Filesystem) -> str | None:
    """Return the path to make a rule for; None if it does not exist.

    Paths that refer to the opening process keep their spelling. Magic links that lead elsewhere
    (``/proc/self/root``) do not, or a harmless looking grant would open the whole disk.
    """
    spelled = "/" + normpath(path).lstrip("/")
    if is_child_relative(spelled):
        return spelled
    canonical = fs.canonical(path)
    for directory in CHILD_RELATIVE_DIRECTORIES:
        if canonical is not None and is_within(spelled, directory):
            own = fs.canonical(directory)
            return spelled if own is not None and is_within(canonical, own) else canonical
    return canonical
