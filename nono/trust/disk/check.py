"""Check all instruction files of a project, as before a run."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from posixpath import expanduser, join, lexists, normpath

from nono.disk.regular_file import read_regular_file
from nono.errors import reason_of
from nono.named_tuple import NamedTuple
from nono.trust.disk import evidence, package_tree
from nono.trust.disk.evidence import Verify
from nono.trust.disk.scan import scan
from nono.trust.policy import TrustPolicy
from nono.trust.verdict import Evidence, Trust, Verdict, judge, unreadable

# A command can make any number of files, and of bundles that are read for each file below them.
FILES_MAX = 10_000
READ_BYTES_MAX = 1024 * 1024 * 1024  # of files and their bundles, a bundle each time that it is read
CONTENTS_BYTES_MAX = 64 * 1024 * 1024  # of untrusted files


class Checked(NamedTuple):
    """The verdicts on a project's files."""

    root: str
    trust: Trust
    verdicts: tuple[Verdict, ...]
    unsearched: tuple[str, ...] = ()  # sentences: places that were not searched for instruction files
    contents: Mapping[str, bytes] = {}  # of untrusted files, by SHA-256
    verify: Verify | None = None  # verifies bundles without a key; None: the policy trusts none

    @property
    def refused(self) -> tuple[Verdict, ...]:
        return tuple(each for each in self.verdicts if each.is_refused(self.trust.policy.enforcement))

    @property
    def untrusted(self) -> tuple[Verdict, ...]:
        return tuple(each for each in self.verdicts if not each.is_trusted)


def check(
    root: str,
    trust: Trust,
    skipped: Collection[str] = (),
    verify: Verify | None = None,
    packages: Mapping[str, str] = {},
) -> Checked:
    """Find and judge the files that the policy includes or names.

    packages: The directories of packages from earlier runs, by name. The policy says whether they are judged.
    """
    found = scan(root, trust.policy, skipped)
    # A named file that is missing cannot be read by the command either.
    present = (each for each in named(root, trust.policy) if lexists(join(root, each)))
    paths = dict.fromkeys((*found.paths, *present))
    verdicts, contents = judge_all(root, paths, trust, verify)
    if trust.policy.packages:
        verdicts += tuple(judge_packages(packages, trust, contents))
    return Checked(root, trust, verdicts, found.unsearched, contents, verify)


def judge_all(
    root: str, paths: Iterable[str], trust: Trust, verify: Verify | None
) -> tuple[tuple[Verdict, ...], dict[str, bytes]]:
    """Judge files. Also returns the contents of untrusted files, by SHA-256.

    Once these are too much to hold, or all is too much to read, no more files are read. One verdict stands
    for all files beyond FILES_MAX.
    """
    verdicts, contents = [], dict[str, bytes]()
    read_bytes = contents_bytes = 0

    def reader(path: str, max_bytes: int) -> bytes:
        nonlocal read_bytes
        content = read_regular_file(path, max_bytes)
        read_bytes += len(content)
        return content

    for number, path in enumerate(paths):
        if number == FILES_MAX:
            why = f"it and all behind it are beyond {FILES_MAX:,} files; --skip-dir NAME leaves some out"
            verdicts.append(unreadable(path, why))
            break
        if contents_bytes > CONTENTS_BYTES_MAX:
            why = f"untrusted files hold more than {CONTENTS_BYTES_MAX >> 20} MiB"
            verdicts.append(unreadable(path, why))
            continue
        if read_bytes > READ_BYTES_MAX:
            why = f"files and signatures before it took more than {READ_BYTES_MAX >> 20} MiB to read"
            verdicts.append(unreadable(path, why))
            continue
        try:
            read = evidence.read(root, path, verify, reader)
        except OSError as error:
            verdicts.append(unreadable(path, reason_of(error)))
            continue
        read_bytes += len(read.content)
        verdict = judge(read.evidence, trust)
        verdicts.append(verdict)
        if not verdict.is_trusted:
            contents[read.evidence.sha256] = read.content
            contents_bytes += len(read.content)
    return tuple(verdicts), contents


def judge_packages(
    packages: Mapping[str, str], trust: Trust, contents: dict[str, bytes]
) -> Iterator[Verdict]:
    """Judge each package as a file whose content is its manifest. A removed package is skipped."""
    for name, tree in packages.items():
        try:
            package = package_tree.read(tree)
        except FileNotFoundError:
            continue
        except (OSError, ValueError) as error:
            yield unreadable(name, str(error))
            continue
        verdict = judge(Evidence(name, package.sha256), trust)
        if not verdict.is_trusted:
            contents[package.sha256] = package.manifest
        yield verdict


def named(root: str, policy: TrustPolicy) -> tuple[str, ...]:
    """Return the files that a policy names, under their names in verdicts."""
    return tuple(relative(root, join(root, expanduser(each))) for each in policy.files)


def relative(root: str, path: str) -> str:
    """Return a path as verdicts name it: relative if below the root, else absolute."""
    path, above = normpath(path), root.rstrip("/") + "/"
    return path.removeprefix(above) if path.startswith(above) else path
