"""Print before a run what it is granted and how that will be enforced."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from nono.cli.args.parse import Invocation
from nono.cli.console import Console
from nono.cli.text import summary
from nono.kernel.process import FIRST_PRIVATE_DESCRIPTOR
from nono.launch.prepare import Prepared
from nono.policy.environment.secret_values import key_arguments
from nono.printable import printable


def show(
    prepared: Prepared,
    invocation: Invocation,
    console: Console,
    *,
    has_proxy: bool = True,
) -> None:
    """Print the summary. has_proxy: this subcommand of nono can use a credential."""
    resolved, chosen = prepared.resolved, prepared.enforcement
    verbose = console.verbosity > 0
    not_shared = summary.workdir_offer(resolved)
    if console.silent and not_shared and invocation.given.value("profile") is not None:
        console.note(printable(not_shared[0].strip()))  # the profile asked for it
    console.lines(not_shared)
    console.lines(summary.banner())
    console.lines(summary.added_profiles(resolved))
    console.lines(resolved.deprecations)
    for warning in (*invocation.given.warnings, *resolved.warnings):
        console.warn(warning)
    for warning in resolved.insisted:
        console.insist(warning)
    console.lines(
        summary.summary(resolved.capabilities, resolved.services, resolved.skipped, verbose=verbose)
    )
    console.lines(summary.lifted(resolved))
    console.lines(summary.routes(resolved))
    console.lines(summary.approval(resolved, chosen))
    console.lines(summary.not_inherited(resolved.withheld, verbose=verbose, has_proxy=has_proxy))
    for number in key_arguments(prepared.argv):
        console.warn(
            f"argument {number} of the command looks like a key: the command and other processes of this "
            "machine can read it there; --credential lets a command use a key that it never holds"
        )
    for path in closed_descriptors(prepared.argv):
        console.warn(
            f"{printable(path)} is open in your shell, and the command gets standard input, output and error "
            "alone. Have a shell inside open it: -- bash -c 'COMMAND <(...)'"
        )
    in_full = verbose or invocation.given.flag("dry_run")
    console.lines(summary.enforcement(chosen, prepared.facts, verbose=in_full))
    for note in chosen.notes:
        console.note(note)
    if chosen.shares and not chosen.shares_by:
        console.warn(chosen.shares)
    for warning in chosen.insisted:
        console.insist(warning)
    warn = console.insist if chosen.is_open else console.warn
    for warning in chosen.warnings:
        warn(warning)


def closed_descriptors(argv: Sequence[str]) -> Iterator[str]:
    """Yield arguments that name a descriptor of the caller, as a process substitution of a shell does."""
    for argument in argv:
        directory, _, number = argument.rpartition("/")
        if directory.endswith(("/dev/fd", "/proc/self/fd")) and number.isdecimal() and number.isascii():
            try:
                os.fstat(int(number))
            except (OSError, OverflowError):  # none of ours: the command may open it itself
                continue
            if int(number) >= FIRST_PRIVATE_DESCRIPTOR:
                yield argument
