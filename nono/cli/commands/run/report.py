"""Say what a run changed, did and lacked."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from nono.errors import LaunchError
from nono.sandbox.command import STATUS_NOT_EXECUTED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from nono.cli.args.parse import Given
    from nono.cli.commands.run.call import Call
    from nono.launch.beside import Wishes
    from nono.launch.lifecycle import Outcome
    from nono.launch.prepare import Prepared
    from nono.launch.terminal.front import Front
    from nono.policy.resolve import Resolved
    from nono.policy.why.refusals import Refusals
    from nono.settings.user_config import UserConfig

WORTH_A_REPORT_S = 10.0


@contextmanager
def told_why(given: Given) -> Iterator[list[Prepared]]:
    """Say what the program lacks if the kernel does not start it. The block adds the run to the list."""
    begun: list[Prepared] = []
    try:
        yield begun
    except LaunchError as error:
        if not begun or error.exit_code != STATUS_NOT_EXECUTED:
            raise
        # Imported here: most commands start.
        from nono.cli.diagnostics.not_started import with_reason

        raise with_reason(error, begun[0], given) from error


def report_on(
    call: Call,
    prepared: Prepared,
    outcome: Outcome,
    front: Front | None,
    refusals: Refusals | None,
    began: float,
) -> None:
    """Say what the run changed, why it failed and what it did. Asks what may be undone or granted.

    began: By time.monotonic().
    """
    spent_s = time.monotonic() - began  # without what the person takes to answer
    if outcome.changed is not None and not call.console.silent:
        _review(call, outcome, front)
    if not call.is_shell and _is_worth_a_report(call, outcome, refusals):
        # Imported here: most runs succeed and need no report.
        from nono.approval.ask import open_terminal
        from nono.cli.diagnostics.report import report

        asks = open_terminal if front is None else front.open_prompt
        report(outcome, prepared, call.invocation, call.console, call.environ, asks, refusals)
    _sum_up(call, outcome, prepared.resolved, spent_s)


def _is_worth_a_report(call: Call, outcome: Outcome, refusals: Refusals | None) -> bool:
    has_news = bool(outcome.exit_code or outcome.denials.listed()) or refusals is not None
    return has_news or call.given.flag("diagnostics_json")


def _review(call: Call, outcome: Outcome, front: Front | None) -> None:
    """Say what the run changed, and offer to undo it."""
    from nono.approval.ask import open_terminal
    from nono.cli.commands.rollback.review import review

    asks = open_terminal if front is None else front.open_prompt
    review(outcome, call.console, call.environ, None if call.given.flag("no_rollback_prompt") else asks)


def _sum_up(call: Call, outcome: Outcome, resolved: Resolved, spent_s: float) -> None:
    """Print the lines about a run that took long or made requests."""
    given, console, traffic = call.given, call.console, outcome.traffic
    is_worth_it = spent_s >= WORTH_A_REPORT_S or (traffic is not None and traffic.has_requests)
    if not is_worth_it or console.silent or given.flag("no_diagnostics"):
        return
    # Imported here: short runs without a proxy need no report.
    from nono.cli.text.run_report import Ended, lines_of, unused_proxy

    has_log = not given.flag("no_audit")
    ended = Ended(outcome.exit_code, outcome.end, outcome.session_id, spent_s, has_log)
    has_upstream = resolved.proxy is not None and resolved.proxy.upstream_proxy is not None
    unused = None if has_upstream else unused_proxy(call.environ)
    of_clients = _certificates_of_clients(call.environ) if traffic is not None and traffic.failed else None
    console.lines(lines_of(ended, traffic, unused, of_clients))


def _certificates_of_clients(environ: Mapping[str, str]) -> tuple[str, str] | None:
    # Imported here: few runs have requests that failed.
    from nono.cli.text.run_report import certificates_of_clients
    from nono.proxy.tls.trust_bundle import system_places

    return certificates_of_clients(environ, system_places().files)


def conclude_dry(call: Call, prepared: Prepared, config: UserConfig, wishes: Wishes) -> int:
    """End a dry run. Returns its exit code."""
    # Imported here: only dry runs need it.
    from nono.cli.dry_run import conclude
    from nono.cli.preferences import redaction
    from nono.launch.beside import Beside

    Beside(wishes, prepared, call.environ)  # refuses a key that the command could read
    exit_code = conclude(prepared, call.console, call.environ, redaction(config))
    call.console.log("INFO", f"ended with exit code {exit_code}")
    return exit_code
