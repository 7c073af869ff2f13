"""Lay out the report about a session for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from nono.amounts import about, clock, moment, money, several, short, size
from nono.cli.text.report.layout import Section, laid_out
from nono.cli.text.run_report import spent, unusual
from nono.cli.text.session_text import LINE_MAX
from nono.printable import without_middle
from nono.report.later import Together, together
from nono.report.model import (
    FILES_MAX,
    AllowedBy,
    CredentialUse,
    Denial,
    FileChange,
    Host,
    Page,
    Report,
    Turn,
    cost_of,
)

ENDPOINTS_MAX = 4  # endpoints of a host, and rules
MOMENTS_MAX = 30
NO_FILES = "Unknown: nono records them at the end of a run with --rollback only."
NO_FILES_YET = "Known once the run has ended, if `nono run --rollback` keeps what it changes."
UNCHANGED = "The run changed none."
NO_HOSTS = "Nothing went through the proxy."
EACH = "--html and --json name each file."
BY_TIME = "Found by their times, so others may have changed them as well."


def text_of(page: Page) -> str:
    """Return the report in plain text."""
    return laid_out(_head(page), sections(page))


def _head(page: Page) -> Iterator[str]:
    session = page.session
    duration = (
        "" if session.ended_ms is None else f", {spent((session.ended_ms - session.started_ms) / 1000)}"
    )
    yield f"Session {session.id} ({session.name}): {session.status}{duration}"
    yield f"  $ {without_middle(session.command, LINE_MAX)}"
    yield f"  in {session.workdir}, profile {session.profile}, network {session.network}"
    until = f" to {moment(session.ended_ms)}: {session.why}" if session.ended_ms is not None else ""
    yield f"  {moment(session.started_ms)}{until}"
    yield ""
    yield f"  {'; '.join(headline(page))}."


def headline(page: Page) -> Iterator[str]:
    """Yield the results of the run, in a few words each."""
    report = page.report
    requests = sum(host.requests for host in report.hosts)
    yield f"{several(requests, 'request')} to {several(sum(bool(h.requests) for h in report.hosts), 'host')}"
    refused = sum(denial.times for denial in page.denials)
    if refused:
        yield f"{several(refused, 'access', 'accesses')} denied"
    if usage := report.usage:
        tokens = sum(each.input_tokens + each.output_tokens for each in usage)
        cost = cost_of(usage)
        yield f"{short(tokens)} tokens" + ("" if cost is None else f", {about(cost)}")
    if page.files is not None:
        yield f"{several(count_of(page.files), 'file')} changed"
    if page.later:
        yield f"{several(len(page.later), 'file that runs', 'files that run')} outside the sandbox later"
    if not page.integrity.is_intact:
        yield "the log is not intact"


def count_of(files: Sequence[FileChange]) -> int:
    """Return the number of files. One file may have changed in several turns."""
    return len({each.path for each in files})


def no_files(page: Page) -> str:
    """Say why it is not known which files have changed."""
    return NO_FILES_YET if page.session.ended_ms is None else NO_FILES


def more_files(page: Page) -> str:
    """Say that the list of files is not complete, if so."""
    if page.files is None or len(page.files) < FILES_MAX:
        return ""
    return f"There are more: nono rollback show {page.session.id}"


def sections(page: Page) -> Iterator[Section]:
    """Yield the tables of the terminal, starting with what a person must know first."""
    report = page.report
    if page.later:
        later = [(_named(page, each), each.reason) for each in together(page.later)]
        note = BY_TIME if page.files is None else EACH if len(later) < len(page.later) else ""
        yield Section("Runs outside the sandbox later", ("FILE", "WHY"), later, note)
    if page.denials:
        yield Section(
            "Denied",
            ("TIMES", "WHAT", "WHY, AND WHAT WOULD ALLOW IT"),
            [(str(each.times), each.what, _why(each)) for each in page.denials],
            numbers=(0,),
        )
    yield _hosts(report.hosts)
    yield from tables(page)
    if page.files is None:
        yield Section("Files changed", (), (), no_files(page))
    else:
        files = [
            (
                each.change,
                "" if each.turn is None else str(each.turn),
                _delta(each.size_delta),
                inside(page, each.path),
            )
            for each in sorted(page.files, key=lambda file: _is_beside_the_project(page, file.path))
        ]
        lines = f"nono rollback show {page.session.id} --diff shows their lines."
        note = more_files(page) or lines if files else UNCHANGED
        yield Section("Files changed", ("CHANGE", "TURN", "SIZE", "FILE"), files, note, (1, 2))
    yield Section("Timeline", ("TIME", "WHAT", "WHERE"), [*_moments(report)])
    if report.notes:
        yield Section("Not as usual", ("NOTE",), [(note,) for note in report.notes])
    intact = "intact" if page.integrity.is_intact else "NOT intact"
    yield Section("Integrity", (), (), f"The log is {intact}: {page.integrity.what}.")


def tables(page: Page) -> Iterator[Section]:
    """Yield the tables that a terminal and a page have in common."""
    report = page.report
    if report.approvals:
        answers = [
            (clock(each.at_ms), each.answer, ": ".join(filter(None, (each.by, each.reason))), each.what)
            for each in report.approvals
        ]
        yield Section("Asked", ("TIME", "ANSWER", "BY", "WHAT"), answers)
    if report.rules:
        changes = [
            (clock(each.at_ms), each.change.replace("_", " "), each.by, each.rule) for each in report.rules
        ]
        yield Section("Rules that changed", ("TIME", "CHANGE", "BY", "RULE"), changes)
    if report.sockets:
        sockets = [(f"{times:,}", name) for name, times in report.sockets]
        yield Section("Unix sockets", ("TIMES", "PATH"), sockets, numbers=(0,))
    if report.credentials:
        used = [(each.service, f"{each.requests:,}", _at(each)) for each in report.credentials]
        yield Section("Credentials used", ("NAME", "REQUESTS", "AT"), used, numbers=(1,))
    if report.usage:
        note = f"Costs are estimates at list prices of {report.prices_of}."
        yield Section("Models", USAGE_HEADERS, usage_rows(report.turns), note, (0, 1, 2, 3, 4))


def _why(denial: Denial) -> str:
    if denial.option is None:
        return ". ".join(filter(None, (denial.why, denial.grants)))
    return f"{denial.why}. Allowed by: {denial.option}" + (f" ({denial.grants})" if denial.grants else "")


def _at(used: CredentialUse) -> str:
    return ", ".join(used.hosts) + (f"; frozen: {used.frozen}" if used.frozen else "")


def _moments(report: Report) -> Iterator[tuple[str, ...]]:
    """Yield the beginning and the end of the timeline."""
    moments = report.timeline
    head, tail = moments[: MOMENTS_MAX // 2], moments[MOMENTS_MAX // 2 :]
    hidden = max(len(tail) - MOMENTS_MAX // 2, 0)
    for index, each in enumerate((*head, *tail[hidden:])):
        if hidden and index == len(head):
            yield ("", "", f"... {hidden:,} more, which --html shows")
        yield (clock(each.at_ms), each.kind, each.what + (f" x{each.times:,}" if each.times > 1 else ""))
    if report.left_out:
        yield ("", "", f"{report.left_out:,} more are in the log")


def _hosts(hosts: Sequence[Host]) -> Section:
    rows: list[tuple[str, ...]] = []
    for host in hosts:
        counts = map(_number, (host.requests, host.refused, host.failed))
        rows.append((*counts, f"{host.name}{moved(host)}"))
        rows += (("", "", "", f"  by {_by(each, host.name)}") for each in host.allowed_by[:ENDPOINTS_MAX])
        if (more := len(host.allowed_by) - ENDPOINTS_MAX) > 0:
            rows.append(("", "", "", f"  by {several(more, 'more rule')}"))
        for each in host.endpoints[:ENDPOINTS_MAX]:
            what = f"  {each.method} {each.path}".rstrip() + unusual(each.statuses)
            rows.append((_number(each.requests), _number(each.refused), "", what))
        if (more := len(host.endpoints) - ENDPOINTS_MAX) > 0:
            rows.append(("", "", "", f"  {several(more, 'more endpoint')}"))
    note = "" if rows else NO_HOSTS
    return Section("Hosts", ("PASSED", "REFUSED", "FAILED", "HOST AND ENDPOINT"), rows, note, (0, 1, 2))


def _by(rule: AllowedBy, name: str) -> str:
    """Word the rule that allowed requests to the host `name`, which it need not repeat."""
    if rule.origin is None or name in (rule.rule, f"{rule.rule}:443"):
        return rule.origin or rule.rule
    return f"{rule.rule}, {rule.origin}"


def moved(host: Host) -> str:
    """Word the size of the bodies in both directions; empty if there were none."""
    if not (host.bytes_out or host.bytes_in):
        return ""
    return f" ({size(host.bytes_out)} out, {size(host.bytes_in)} in)"


def _is_beside_the_project(page: Page, path: str) -> bool:
    below = inside(page, path)
    return below == path or ".git" in below.split("/")


def _named(page: Page, together: Together) -> str:
    """Return the path to show, of a directory with the number of its files."""
    path = inside(page, together.path)
    return f"{path} ({several(together.files, 'file')})" if together.files else path


def inside(page: Page, path: str) -> str:
    """Return a path relative to the working directory of the run if it lies inside."""
    return path.removeprefix(page.session.workdir.rstrip("/") + "/")


USAGE_HEADERS = ("TURN", "RESPONSES", "IN", "OUT", "COST", "MODEL")


def usage_rows(turns: Sequence[Turn]) -> list[tuple[str, ...]]:
    """Return a row for each model of each turn."""
    return [
        (
            str(turn.number) if turn.number else "-",
            str(each.responses),
            short(each.input_tokens),
            short(each.output_tokens),
            "?" if each.cost_usd is None else money(each.cost_usd),
            f"{each.model} ({each.credential})",
        )
        for turn in turns
        for each in turn.usage
    ]


def _number(count: int) -> str:
    return f"{count:,}" if count else "-"


def _delta(count: int | None) -> str:
    if count is None:
        return ""
    return f"+{size(count)}" if count > 0 else size(count)
