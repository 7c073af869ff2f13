"""`nono trust approve` and `nono trust forget`: approve files, and withdraw approvals."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from posixpath import join, realpath

from nono.cli.commands.trust.checking import loaded_here, relative_here
from nono.cli.console import can_ask
from nono.cli.instructions.loaded import Loaded
from nono.cli.text.session_text import one_line
from nono.errors import NonoError, in_words
from nono.printable import printable_line
from nono.trust.disk.check import check, judge_all, judge_packages
from nono.trust.disk.memory_file import MemoryFile
from nono.trust.policy import FILE
from nono.trust.verdict import Status


def approve(files: Sequence[str], environ: Mapping[str, str], *, is_sure: bool) -> int:
    """Show what changed, ask, and store the digests of exactly the contents that were shown."""
    loaded = loaded_here(environ)
    packages = {each: loaded.memory.packages[each] for each in files if each in loaded.memory.packages}
    names = [relative_here(loaded, each) for each in files if each not in packages]
    others = [each for each in names if each != FILE]
    if files:
        verdicts, contents = judge_all(loaded.root, others, loaded.trust, loaded.verify)
        verdicts += tuple(judge_packages(packages, loaded.trust, contents))
    else:
        checked = check(loaded.root, loaded.trust, verify=loaded.verify, packages=loaded.memory.packages)
        verdicts, contents = checked.verdicts, dict(checked.contents)
    approved: dict[str, str] = {}
    for line in _policy(loaded, approved, contents) if FILE in names or not files else ():
        print(printable_line(line))
    for verdict in verdicts:
        if verdict.is_trusted:
            continue
        if verdict.sha256 is None or verdict.status is Status.BLOCKED:
            print(one_line(f"  {verdict.path} cannot be approved: {verdict.reason}"))
            continue
        approved[verdict.path] = verdict.sha256
        print(one_line(f"  {verdict.path}{_elsewhere(loaded.root, verdict.path)}: {verdict.reason}"))
        for line in loaded.difference(verdict.path, contents[verdict.sha256]):
            print(printable_line(line))
    if not approved:
        print("Nothing waits for approval.")
        return 0 if all(each.is_trusted for each in verdicts) else 1
    if not is_sure and not _is_confirmed(len(approved)):
        return 1
    try:
        loaded.memory_file.change(
            lambda memory: memory.approving(approved, contents),
            {digest: contents[digest] for digest in approved.values()},
        )
    except (OSError, ValueError) as error:
        raise NonoError(f"the approval cannot be stored: {in_words(error)}") from error
    print(f"Approved {len(approved)}.")
    return 0


def forget(directory: str | None, environ: Mapping[str, str]) -> int:
    root = realpath(directory or os.getcwd())
    file = MemoryFile(root, environ)
    if not os.path.lexists(file.path):
        raise NonoError(f"nothing is remembered about {root}.")
    try:
        file.forget()
    except OSError as error:
        raise NonoError(f"{file.path} cannot be removed: {error.strerror}") from error
    print(printable_line(f"Forgot what was approved in {root}."))
    return 0


def _policy(loaded: Loaded, approved: dict[str, str], contents: dict[str, bytes]) -> Iterator[str]:
    """Yield what there is to see of the project's policy, and add it to what is approved."""
    project = loaded.policies.project
    if project is None or loaded.standing.is_authoritative:
        return
    approved[FILE] = project.sha256
    contents[project.sha256] = project.content
    yield f"  {FILE}: {loaded.problem}"
    yield from loaded.difference(FILE, project.content)


def _elsewhere(root: str, path: str) -> str:
    """Return where a file lies that a link leads to, in words; "" if it lies at its path."""
    own = join(root, path)
    found = realpath(own)
    return "" if found == own else f" (a link to {found})"


def _is_confirmed(count: int) -> bool:
    if not can_ask():
        raise NonoError(
            "nobody can be asked here, so nothing was approved.", hint="--yes approves what is shown"
        )
    # Imported here: the other actions ask nothing.
    from nono.approval.ask import confirm

    return confirm((), f"  Approve {'it' if count == 1 else f'these {count}'}? [y/N] ", is_pristine=True)
