"""`nono trust verify` and `nono trust list`: check the instruction files of a project."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from posixpath import basename, dirname, join, realpath

from nono.cli.instructions import wording
from nono.cli.instructions.loaded import OWN, Loaded, load
from nono.cli.shapes.printed import printed_list
from nono.cli.text.session_text import one_line
from nono.errors import NonoError
from nono.trust.authority import Standing
from nono.trust.disk.check import check, judge_all, relative
from nono.trust.disk.concern import root_of
from nono.trust.policy import FILE, Enforcement
from nono.trust.verdict import Status, Verdict, unreadable

_STATUS = {Status.VERIFIED: "verified", Status.APPROVED: "approved", Status.UNSIGNED: "unsigned"}


def loaded_here(environ: Mapping[str, str], policy: str | None = None) -> Loaded:
    """Return what is trusted in the project around this directory. Raises NonoError if it has no policy."""
    here = os.getcwd()
    root = root_of(here, environ)
    if root is None and policy is not None:
        root = realpath(here)
    if root is None:
        raise NonoError("no trust policy applies to this directory.", hint="nono trust init writes one")
    return load(root, environ, policy=policy)


def relative_here(loaded: Loaded, file: str) -> str:
    """Return the name that verdicts use for a file that was typed. A link keeps its own name."""
    directory = realpath(join(os.getcwd(), dirname(file)))
    return relative(loaded.root, join(directory, basename(file)))


def verify(files: Sequence[str], policy: str | None, environ: Mapping[str, str]) -> int:
    loaded, unsearched = loaded_here(environ, policy), tuple[str, ...]()
    if files:
        names = [relative_here(loaded, each) for each in files]
        others = [each for each in names if each != FILE]
        verdicts, _ = judge_all(loaded.root, others, loaded.trust, loaded.verify)
        if FILE in names:
            verdicts = (_policy(loaded), *verdicts)
    else:
        checked = check(loaded.root, loaded.trust, verify=loaded.verify, packages=loaded.memory.packages)
        verdicts, unsearched = checked.verdicts, checked.unsearched
    for verdict in verdicts:
        print(one_line(wording.line(verdict, Enforcement.DENY)))
    for sentence in unsearched:
        print(one_line(f"instruction files: {sentence}"))
    failed = sum(not verdict.is_trusted for verdict in verdicts)
    print(f"{len(verdicts)} checked, {failed} not trusted.")
    return 1 if failed else 0


def _policy(loaded: Loaded) -> Verdict:
    """Return a verdict on the project's policy, like the verdict on a file."""
    match loaded.standing:
        case Standing.SIGNED:
            return Verdict(FILE, Status.VERIFIED, "", signer=OWN)
        case Standing.APPROVED:
            return Verdict(FILE, Status.APPROVED, "")
        case Standing.ABSENT | Standing.GONE:
            return unreadable(FILE, "there is none")
        case Standing.CHANGED:
            return Verdict(FILE, Status.CHANGED, loaded.problem)
        case Standing.NEW | Standing.SEEN:
            return Verdict(FILE, Status.UNSIGNED, loaded.problem)


def show(policy: str | None, environ: Mapping[str, str], *, as_json: bool) -> int:
    loaded = loaded_here(environ, policy)
    checked = check(loaded.root, loaded.trust, verify=loaded.verify, packages=loaded.memory.packages)
    if as_json:
        print(printed_list(map(_row, checked.verdicts)))
        return 0
    for verdict in checked.verdicts:
        said = wording.known(verdict) if verdict.is_trusted else verdict.reason
        print(one_line(f"{verdict.status.value:<10} {verdict.path}: {said}"))
    for sentence in checked.unsearched:
        print(one_line(f"           {sentence}"))
    return 0


def _row(verdict: Verdict) -> dict[str, str]:
    row = {
        "file": verdict.path,
        "status": _STATUS.get(verdict.status, "failed"),
        "state": verdict.status.value,
    }
    if verdict.signer is not None and verdict.is_trusted:
        return {**row, "signer": verdict.signer}
    return row if verdict.is_trusted else {**row, "reason": verdict.reason}
