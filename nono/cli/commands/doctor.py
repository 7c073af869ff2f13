"""`nono doctor`: say what works on this machine and what is missing, with a remedy for each."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence

from nono import __version__
from nono.cli.args import argparse_parser
from nono.cli.args.parse import parse
from nono.cli.doctor.finding import Finding, Mark, finding_entry, finding_lines, is_well
from nono.cli.doctor.look import look
from nono.cli.doctor.machine import machine
from nono.cli.doctor.project import command_of, project_findings
from nono.cli.doctor.project_files import read_project
from nono.cli.shapes.printed import printed
from nono.cli.text.wrap_text import wrapped
from nono.cli.why.context import from_options
from nono.errors import NonoError
from nono.named_tuple import NamedTuple
from nono.policy.why.hosts import why_host
from nono.printable import shell_word

DESCRIPTION = (
    "Says what works on this machine and what is missing, each with its remedy. Exits with 1 if something "
    "needed is missing."
)
NOT_TRIED = Finding(
    "clients", Mark.MISSING, "not tried: this machine lacks what a run needs", "see what is missing above"
)
HTTPS = 443


class _Section(NamedTuple):
    """One part of the report."""

    title: str
    findings: Iterable[Finding]
    absent: Sequence[str] = ()  # what is not installed; complete once all findings have been read
    command: str | None = None  # the run for the project, as a shell command


def run(argv: Sequence[str]) -> int:
    parsed = parser().parse_args(list(argv))
    document: dict[str, object] = {}
    is_good = True
    for section in _sections(parsed, dict(os.environ)):
        findings = list(section.findings) if parsed.json else _print_section(section)
        is_good = is_well(findings) and is_good
        document[section.title] = list(map(finding_entry, findings))
        if section.title == "clients":
            document["clients_not_installed"] = section.absent
        if section.command is not None:
            document["project_command"] = section.command
    if parsed.json:
        print(printed({"nono": __version__, "ok": is_good, **document}))
    else:
        print("Nothing needed is missing." if is_good else "Something needed is missing: see 'fix' above.")
    return 0 if is_good else 1


def parser() -> argparse.ArgumentParser:
    """Return the parser of this command, for its arguments, help and completion."""
    parser = argparse_parser.new_parser("nono doctor", DESCRIPTION)
    parser.add_argument(
        "--project",
        action="store_true",
        help="check what the project here needs, and which profiles have it",
    )
    parser.add_argument(
        "--clients",
        action="store_true",
        help="try the clients that are installed, in the sandbox, against a local server",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of lines")
    return parser


def _sections(parsed: argparse.Namespace, environ: Mapping[str, str]) -> Iterator[_Section]:
    about_machine = list(machine(look(environ)))
    yield _Section("machine", about_machine)
    if parsed.project:
        yield _project(environ)
    if parsed.clients and not is_well(about_machine):
        yield _Section("clients", [NOT_TRIED])
    elif parsed.clients:
        absent: list[str] = []
        yield _Section("clients", _clients(environ, absent), absent)


def _project(environ: Mapping[str, str]) -> _Section:
    """Judge the project in the working directory, and the run that its files suggest."""
    project = read_project(os.path.realpath(os.curdir), environ)
    command = command_of(project)
    shown = f"nono {' '.join(map(shell_word, command))}"
    try:
        rules = from_options(parse(command[0], DESCRIPTION, command[1:], environ), environ).rules
    except NonoError as error:
        refused = Finding("run", Mark.MISSING, f"the run below would not start: {error.message}", error.hint)
        others = project_findings(project._replace(texts={}), lambda host: False)  # it reaches no host
        return _Section("project", (*others, refused), command=shown)
    findings = project_findings(project, lambda host: why_host(rules, host, HTTPS).status == "allowed")
    return _Section("project", findings, command=shown)


def _clients(environ: Mapping[str, str], absent: list[str]) -> Iterator[Finding]:
    """Yield a finding for each installed client, and add the names of the others to `absent`."""
    # Imported here: it needs a server and cryptography.
    from nono.cli.doctor.client_table import CLIENTS
    from nono.cli.doctor.try_clients import try_clients

    for name, finding in try_clients(CLIENTS, environ):
        if finding is None:
            absent.append(name)
        else:
            yield finding


def _print_section(section: _Section) -> list[Finding]:
    """Print each finding as soon as it is known, because some take seconds. Return all of them."""
    print(f"{section.title}:")
    findings = []
    for finding in section.findings:
        for line in finding_lines(finding):
            print(line, flush=True)
        findings.append(finding)
    if section.command is not None:
        print(f"  run it with:\n    {section.command}")
    if section.absent:
        print("\n".join(wrapped(f"not installed: {', '.join(section.absent)}", "  ", "    ")))
    print()
    return findings
