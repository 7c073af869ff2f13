"""Read one instruction file, with the bundles that may be about it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from posixpath import basename, dirname, join

from nono.digests import sha256
from nono.disk.regular_file import read_regular_file
from nono.errors import reason_of
from nono.named_tuple import NamedTuple
from nono.trust import bundle
from nono.trust.bundle import BUNDLE_BYTES_MAX, Bundle
from nono.trust.claims import Claims
from nono.trust.verdict import BUNDLES_KEPT, Evidence, Signed

FILE_BYTES_MAX = 16 * 1024 * 1024
SIDECAR = ".bundle"
MANIFEST = ".nono-trust.bundle"
DEPTH_MAX = 64

Reader = Callable[[str, int], bytes]  # reads a file up to this many bytes; raises OSError
Verify = Callable[[Bundle], Claims]  # verifies a bundle signed without a key; raises ValueError


class Read(NamedTuple):
    """A file that was read once, so that what is judged is what is used."""

    content: bytes
    evidence: Evidence


def read(root: str, path: str, verify: Verify | None = None, reader: Reader = read_regular_file) -> Read:
    """Read a file by its absolute path, or its path relative to the root.

    reader: Reads a bundle.

    Symbolic links are followed: a signature covers a content and a name, wherever the content is stored. A
    link to /proc/self/environ is refused: whoever approves would show the environment.

    Raises OSError if it cannot be read.
    """
    content = read_regular_file(join(root, path), FILE_BYTES_MAX, is_stored=True)
    return Read(content, evidence_of(root, path, content, reader, verify))


def evidence_of(
    root: str,
    path: str,
    content: bytes,
    reader: Reader = read_regular_file,
    verify: Verify | None = None,
) -> Evidence:
    """Return the evidence for a content under that path.

    reader: Reads a bundle.
    verify: Verifies a bundle that was signed without a key; None: the policy trusts none.
    """
    bundles = tuple(_with_claims(each, verify) for each in _bundles(root, path, reader))
    return Evidence(path, sha256(content).hexdigest(), bundles)


def _with_claims(signed: Signed, verify: Verify | None) -> Signed:
    if verify is None or isinstance(signed.bundle, str) or signed.bundle.hint is not None:
        return signed
    return signed._replace(claims=_claims(signed.bundle, verify))


@lru_cache(BUNDLES_KEPT)
def _claims(found: Bundle, verify: Verify) -> Claims | str:
    try:
        return verify(found)
    except ValueError as error:
        return str(error)


def _bundles(root: str, path: str, reader: Reader) -> Iterator[Signed]:
    own = read_bundle(f"{join(root, path)}{SIDECAR}", reader)
    if own is not None:
        yield Signed(basename(path), own)
    directory = path
    for _ in range(DEPTH_MAX):
        above = dirname(directory)
        if above == directory:
            return
        directory = above
        found = read_bundle(join(root, directory, MANIFEST), reader)
        if found is not None:
            yield Signed(path[len(directory) :].lstrip("/"), found, is_manifest=True)


def read_bundle(path: str, reader: Reader = read_regular_file) -> Bundle | str | None:
    """Read a bundle. Returns None if there is none, or the reason why it cannot be read."""
    try:
        return _parsed(reader(path, BUNDLE_BYTES_MAX))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        return reason_of(error)


# A bundle for all files below a directory is read for each of them. Known by its content, it is parsed once.
@lru_cache(BUNDLES_KEPT)
def _parsed(text: bytes) -> Bundle | str:
    try:
        return bundle.parse(text)
    except ValueError as error:
        return str(error)
