"""Which file a spelling in a policy names: variables, the home directory, canonical forms.
Nothing here touches the disk; whoever calls brings a Filesystem that does.
"""

from collections.abc import Callable, Mapping
from posixpath import basename, dirname, isabs, join, normpath
from typing import Literal, Protocol

from nono import paths
from nono.errors import NonoError
from nono.named_tuple import NamedTuple

Kind = Literal["dir", "file", "device", "socket", "other"]
EntryKind = Literal["dir", "link", "file"]  # "file": everything else

# These name the process that opens them, so the launcher resolves them again in the child (proc(5)).
CHILD_RELATIVE_DIRECTORIES = ("/proc/self", "/proc/thread-self", "/dev/fd")
CHILD_RELATIVE_FILES = ("/dev/stdin", "/dev/stdout", "/dev/stderr")


_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_")


class Entry(NamedTuple):
    """What a name in a directory stands for, symlinks not followed."""

    kind: EntryKind
    names: int  # how many names the inode has (hard links)


class Filesystem(Protocol):
    """The questions a policy asks of the disk."""

    def canonical(self, path: str) -> str | None:
        """path without symlinks and dot segments; None when it does not exist or cannot be reached."""

    def kind(self, path: str) -> Kind | None:
        """What path is, symlinks followed; None when it does not exist or cannot be reached."""

    def names(self, path: str) -> list[str]:
        """What the directory path holds, sorted; nothing when it is none or cannot be read."""

    def entry(self, path: str) -> Entry | None:
        """What stands at path itself; None when nothing does, or it cannot be reached."""


class UnsetVariableError(ValueError):
    """A path names an environment variable that has no value."""

    def __init__(self, variable: str) -> None:
        super().__init__(f"${variable} is not set")
        self.variable = variable


class PathContext(NamedTuple):
    """The directories that a path of the policy may begin with; all absolute."""

    home: str
    cwd: str  # where nono was started: command-line paths hang on it
    workdir: str  # what $WORKDIR says: a profile's relative paths hang on it
    environ: Mapping[str, str]
    uid: int | None = None

    @property
    def tmpdir(self) -> str:
        """NonoError when TMPDIR is relative."""
        value = self.environ.get("TMPDIR") or "/tmp"
        if not isabs(value):
            raise NonoError("Environment variable 'TMPDIR' validation failed: it must be an absolute path.")
        return value.rstrip("/") or "/"

    def built_in(self, name: str) -> str | None:
        """The value of a variable that the environment cannot redirect; None when name is not one."""
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
        """text with every $NAME replaced; built-in names win over the environment.

        UnsetVariableError when a name is neither. ``${NAME}`` is not a reference and stays as it is.
        """

        def value(name: str) -> str:
            known = self.built_in(name) or self.environ.get(name)
            if not known:
                raise UnsetVariableError(name)
            return known

        return _replaced(text, value)

    def expand_built_in(self, text: str) -> str:
        """text with nono's own variables replaced; other references stay, the program may want them."""
        return _replaced(text, lambda name: self.built_in(name) or f"${name}")

    def expand_program(self, text: str) -> str:
        """A profile's program: the path of a file, or a name to be looked for on PATH."""
        return self._at_home(self.expand_built_in(text))

    def of_group(self, text: str) -> str:
        """The absolute path of a group's entry. NonoError when its variable is unset or relative."""
        try:
            path = self._at_home(self.expand(text))
        except UnsetVariableError as unset:
            raise NonoError(f"policy path '{text}': {unset}.") from unset
        if not isabs(path):
            raise NonoError(f"policy path '{text}' must be an absolute path.")
        return path

    def of_profile(self, text: str) -> str:
        """The absolute path of a profile's entry; UnsetVariableError as for expand."""
        return join(self.workdir, self._at_home(self.expand(text)))

    def of_flag(self, text: str) -> str:
        """The absolute path of a command-line value: the shell has expanded all but a quoted ``~``."""
        return join(self.cwd, self._at_home(text))

    def _at_home(self, text: str) -> str:
        return self.home + text[1:] if text == "~" or text.startswith("~/") else text


def _replaced(text: str, value: Callable[[str], str]) -> str:
    """text with value(NAME) for every $NAME. By hand, since nothing else on this way imports re."""
    head, *pieces = text.split("$")
    parts = [head]
    for piece in pieces:
        name = piece[: _name_length(piece)]
        parts.append(value(name) + piece[len(name) :] if name else f"${piece}")
    return "".join(parts)


def _name_length(text: str) -> int:
    """How much of the beginning of text is the name of a variable, [A-Za-z_][A-Za-z0-9_]*."""
    for length, character in enumerate(text):
        if character not in _LETTERS and (length == 0 or character not in "0123456789"):
            return length
    return len(text)


def is_pattern(text: str) -> bool:
    """Whether an entry of a profile means every path that fits it (nono.policy.files.path_patterns)."""
    return "*" in text


def is_within(path: str, root: str) -> bool:
    """Whether path is root or lies below it, component by component."""
    return path == root or path.startswith(root.rstrip("/") + "/")


def ancestry(path: str) -> frozenset[str]:
    """path and every directory above it: path is inside each of them and inside nothing else.

    path is absolute and normal.
    """
    upward = {path, "/"}
    while above := path.rpartition("/")[0]:
        upward.add(above)
        path = above
    return frozenset(upward)


def canonical_as_far(path: str, fs: Filesystem) -> str:
    """The canonical form of as much of path as exists, followed by the rest of it."""
    head, missing = path, ""
    while (found := fs.canonical(head)) is None and head not in ("", "/"):
        head = head.rstrip("/")
        missing = join(basename(head), missing) if missing else basename(head)
        head = dirname(head)
    return "/" + normpath(join(found or "/", missing)).lstrip("/")


def parent_resolved(path: str, fs: Filesystem) -> str:
    """path with its last component as it is spelled: the name of a symlink rather than its target."""
    lexical = path.rstrip("/")
    if basename(lexical) in ("", ".", ".."):
        return canonical_as_far(path, fs)
    return join(canonical_as_far(dirname(lexical), fs), basename(lexical))


def rule_path(path: str, fs: Filesystem) -> str | None:
    """The path a rule is made for; None when there is nothing.

    What names the opening process keeps its spelling. Magic links that lead elsewhere (``/proc/self/root``)
    do not, or a harmless looking grant would open the whole disk.
    """
    spelled = "/" + normpath(path).lstrip("/")
    if spelled in CHILD_RELATIVE_DIRECTORIES or spelled in CHILD_RELATIVE_FILES:
        return spelled
    canonical = fs.canonical(path)
    for directory in CHILD_RELATIVE_DIRECTORIES:
        if canonical is not None and is_within(spelled, directory):
            own = fs.canonical(directory)
            return spelled if own is not None and is_within(canonical, own) else canonical
    return canonical
