"""Choose the directories a command may use in learn mode: as large as possible without anything sensitive.

Excludes directories too wide to be granted in a profile (the home directory, ~/.config, /usr), so that every
access that works can be granted by a path at or below one of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from posixpath import dirname, join

from nono.policy.capability import Access, Grant
from nono.policy.path_expansion import XDG, Filesystem, PathContext, ancestry, canonical_as_far, is_within

SOURCE = "nono learn"
# World-readable files of programs. Files in /etc that are not world-readable become holes.
SYSTEM = ("/usr", "/opt", "/etc", "/nix", "/snap", "/sys", "/proc/sys")
# Shared by many programs, each with its own directory inside.
_SHARED = ("/usr/local", "/usr/lib", "/usr/share", "/usr/local/lib", "/usr/local/share", "/usr/libexec")
_SHARED_AT_HOME = (".local", ".local/share", ".local/state", ".config", ".cache")
# Names that reveal keys and tokens of programs missing from our lists.
_SECRET_NAMES = (
    *("credential", "secret", "token", "password", "passwd", "oauth"),
    *("private_key", "apikey", "api_key", "api-key"),
)
_SECRET_EXACTLY = frozenset({".env", "auth.json", "id_rsa", "id_ed25519", "id_ecdsa", "cookies", ".netrc"})
_SECRET_SUFFIXES = (".pem", ".key", ".p12", ".pfx", ".kdbx", ".keystore", ".jks")
_CODE_SUFFIXES = (
    ".py",
    ".pyc",
    ".js",
    ".mjs",
    ".cjs",
    ".ts",
    ".so",
    ".h",
    ".go",
    ".rs",
    ".rb",
    ".d",
    ".html",
)


def is_secret_name(name: str) -> bool:
    """Return True if a file or directory of this name in a home directory likely holds a key or token."""
    lowered = name.lower()
    if lowered in _SECRET_EXACTLY or lowered.endswith(_SECRET_SUFFIXES) or lowered.startswith(".env."):
        return True
    return any(word in lowered for word in _SECRET_NAMES) and not lowered.endswith(_CODE_SUFFIXES)


def home_roots(path_context: PathContext, fs: Filesystem) -> Iterator[str]:
    """Yield the hidden entries of the home directory (configuration, caches), and those with its programs."""
    home = canonical_as_far(path_context.home, fs)
    if home == "/":
        return
    for name in fs.names(home):
        if name.startswith(".") and name not in (".", ".."):
            yield join(home, name)
    for entry in path_context.environ.get("PATH", "").split(":"):
        program_directory = fs.canonical(entry) if entry.startswith("/") else None
        if program_directory is None or not is_within(program_directory, home):
            continue
        installed = dirname(program_directory) if program_directory.endswith("bin") else program_directory
        yield program_directory if installed == home else installed


def too_wide(path_context: PathContext, fs: Filesystem) -> frozenset[str]:
    """Return the directories no profile should grant as a whole, however many of their files are used.

    No flag is offered for them either: a command can ask for each.
    """
    home = canonical_as_far(path_context.home, fs)
    at_home = (join(path_context.home, name) for name in ("", *_SHARED_AT_HOME))
    bases = filter(None, map(path_context.built_in, XDG))
    known = ("/", *SYSTEM, *_SHARED, *(path.rstrip("/") for path in at_home), *bases)
    return ancestry(home).union(canonical_as_far(path or "/", fs) for path in known)


def without_holes(
    roots: Iterable[str], holes: Iterable[str], wide: frozenset[str], fs: Filesystem
) -> tuple[Grant, ...]:
    """Return read grants on all of `roots` except the holes and the directories above them. Skips links.

    roots, holes and wide are canonical. Present and future files directly in a directory above a hole are
    left out too.
    """
    closed = frozenset(holes)
    split = wide.union(*(ancestry(dirname(hole)) for hole in closed)) if closed else wide
    found: dict[str, Grant] = {}
    pending = [path for path in dict.fromkeys(roots) if closed.isdisjoint(ancestry(path))]
    while pending:
        path = pending.pop()
        entry = fs.entry(path)
        if path in closed or path in found or entry is None or entry.kind == "link":
            continue
        if path in split:
            pending += (join(path, name) for name in fs.names(path))
        elif entry.kind == "dir" or fs.kind(path) == "file":
            found[path] = Grant(path, Access.READ, entry.kind == "dir", SOURCE, path)
    return tuple(found[path] for path in sorted(found))
