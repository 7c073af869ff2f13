"""Record how a run starts and how it ends."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from nono.audit import event
from nono.launch import optional
from nono.launch.denials import Denials
from nono.launch.start import RunContext
from nono.named_tuple import NamedTuple
from nono.policy.effective_policy import EffectivePolicy
from nono.sessions.record import End

TYPE_CHECKING = False
if TYPE_CHECKING:
    from nono.audit.traffic import Traffic
    from nono.supervisor.limits.report import LimitReport
    from nono.undo.model.changes import Change


class Outcome(NamedTuple):
    """How a run ended."""

    exit_code: int  # the command's; 128+N if signal N ended it
    status: int  # nono's: the same, but not 0 if what the run owes, such as its proof, is missing
    session_id: str
    denials: Denials
    traffic: Traffic | None  # of a run with a proxy
    end: End  # why it ended, and who ended it
    limit: LimitReport | None  # the limit that ended the command, if one did
    rules: Callable[[], EffectivePolicy]  # the policy that was in effect
    changed: Sequence[Change] | None  # in the directories that undo covers; None: nothing was kept


def record_start(run: RunContext) -> None:
    """Record the command, how it is enforced, and every gap in the enforcement."""
    prepared, session, cgroup = run.prepared, run.session, run.cgroup
    record = session.record
    record(event.session_started(run.argv, session.redaction.difference()))
    if run.options.as_event is not None:
        record(run.options.as_event)
    if prepared.enforcement.rung is not None:
        record(event.enforced_by(prepared.enforcement.rung.value))
    limits = prepared.capabilities.limits
    if limits.is_set:
        record(event.resource_limits(limits.memory_bytes, limits.max_processes))
    if cgroup is not None and cgroup.gap is not None:
        session.warn(cgroup.gap)
        record(event.not_enforced(cgroup.gap))
    secrets = {each.name: each.rule for each in prepared.resolved.withheld if each.is_secret}
    if secrets:
        record(event.variables_withheld(secrets))
    for mask in prepared.capabilities.masking.masks:
        record(event.masked(mask.path, mask.denial.origin))
    for gap in (*prepared.enforcement.gaps, *prepared.enforcement.notes):
        record(event.not_enforced(gap))


def conclude(run: RunContext, exit_code: int) -> Outcome:
    """Record how a run has ended, write its proof and keep its end for undo."""
    session, beside = run.session, run.beside
    beside.left(session, exit_code)
    limit = _record_limits(run, exit_code)
    _record_uncovered(run)
    if run.child.lost is not None:
        session.tell_failure(run.child.lost)
        session.record(event.not_enforced(run.child.lost))
    end = run.entry.end_of(run.child, exit_code, limit)
    try:
        session.record(event.session_ended(exit_code, end._asdict()))
    finally:  # the disk may be full, and the command has ended as it has
        run.entry.ended(exit_code, end)
    optional.run_after_hook(run.prepared, session, exit_code)
    status = beside.conclude(session, exit_code, run.child.signal_descriptor)
    return Outcome(
        exit_code, status, session.run_id, run.denials, run.traffic, end, limit, run.rules, beside.changed
    )


def _record_uncovered(run: RunContext) -> None:
    """Record what lay open behind a mask; say it where that may have been for seconds (docs/adr/0014)."""
    paths = run.launcher.uncovered()
    if not paths:
        return
    # Imported here: most runs have none.
    from nono.sandbox.plan.mask_verdict import uncovered

    for path in paths:
        run.session.record(event.not_enforced(uncovered([path])))
    if run.prepared.capabilities.masking.is_served:
        run.session.warn(uncovered(paths))


def _record_limits(run: RunContext, exit_code: int) -> LimitReport | None:
    """Record the limits that were reached. Returns the report about the one that ended the command."""
    if run.cgroup is None:
        return None
    # Imported here: few runs have limits.
    from nono.supervisor.limits.report import limit_report, reached

    limits, figures = run.prepared.capabilities.limits, run.cgroup.figures()
    for each in reached(limits, figures):
        run.session.record(each)
    return limit_report(limits, figures, exit_code)
