"""Write the rule of `nono allow` or `nono deny` to a profile, after showing the diff."""

from __future__ import annotations

import difflib
import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from posixpath import basename, join

from nono.approval.ask import confirm
from nono.cli.diagnostics.saved_profile import (
    ChangedMeanwhileError,
    Draft,
    Target,
    changed,
    rewritten,
    save,
    target_of,
)
from nono.cli.text.session_text import one_line
from nono.errors import ConfigError, NonoError
from nono.policy.live.port_target import ANY, LISTEN, OWN, PortTarget, parse_port_target
from nono.policy.live.rule import Decision
from nono.policy.live.saved_endpoint import with_endpoint
from nono.policy.why.saving import Addition, Entry, is_said, shortened
from nono.sessions.record import Record

TRIES = 8  # to write a profile that others write as well
PORTS_MAX = 32  # a longer list is one that nobody reads
_FIELDS = {
    ("allow", "host"): ("network", "allow_domain"),
    ("deny", "host"): ("network", "deny_domain"),
    ("deny", "path"): ("filesystem", "deny"),
    ("deny", "socket"): ("filesystem", "deny"),
}


def save_rule(
    record: Record,
    name: str,
    decision: Decision,
    wanted: Mapping[str, object],
    environ: Mapping[str, str],
    *,
    agreed: bool,
) -> int:
    """Write the rule to a profile. Returns the exit code. Raises NonoError if it cannot be written.

    name: The name of the profile; "" for the profile of the session.
    agreed: Nobody has to be asked, so that the rule is added to what other sessions have saved meanwhile.
    """
    for _ in range(TRIES - 1 if agreed else 0):
        with suppress(ChangedMeanwhileError):
            return _save(record, name, decision, wanted, environ, agreed=agreed)
    return _save(record, name, decision, wanted, environ, agreed=agreed)


def _save(
    record: Record,
    name: str,
    decision: Decision,
    wanted: Mapping[str, object],
    environ: Mapping[str, str],
    *,
    agreed: bool,
) -> int:
    target = _target(record, name, environ)
    assert target.file is not None  # it has a name
    if wanted["kind"] == "endpoint":
        draft = changed(target, lambda found: with_endpoint(found, decision, str(wanted["target"])))
    else:
        draft = rewritten(target, [_addition(decision, wanted, environ.get("HOME", "/"))])
    shown = [one_line(line) for line in _diff(draft)]
    if not shown:
        print(f"{target.file} has it already.", file=sys.stderr)
        return 0
    if agreed:
        print("\n".join(shown), file=sys.stderr)
    elif not confirm(shown, f"Write this to {one_line(draft.place)}? [y/N] ", is_pristine=True):
        print("Not saved. --yes writes it without asking.", file=sys.stderr)
        return 1
    try:
        save(draft, environ)
    except OSError as error:
        raise NonoError(f"not saved: {target.file}: {error.strerror}") from error
    print(one_line(f"Saved: {draft.place}"), file=sys.stderr)
    return 0


def _target(record: Record, name: str, environ: Mapping[str, str]) -> Target:
    reference = name or record.profile
    if reference is not None and "/" in reference:
        reference = join(record.workdir, reference)
    target = target_of(reference, environ)
    if not target.is_new:
        return target
    if not name:
        of = f"'{record.profile}' is shipped" if record.profile else "the session has no profile"
        program = basename(record.command[0]) if record.command else "saved"
        raise ConfigError(
            f"{of}, so a new profile has to be named.", hint=f"--save {target.suggestion(program)}"
        )
    problem = Target.problem_with(name, environ)
    if problem is not None:
        raise ConfigError(f"{problem}.")
    return target_of(record.profile, environ).named(name, environ)


def _addition(decision: Decision, wanted: Mapping[str, object], home: str) -> Addition:
    kind, target = str(wanted["kind"]), str(wanted["target"])
    if kind == "port":
        return _of_ports(decision, parse_port_target(target))
    if (decision, kind) == ("allow", "path"):
        access = "allow" if wanted["writes"] else "read"
        field = ("filesystem", access if os.path.isdir(target) else f"{access}_file")
    elif (decision, kind) == ("allow", "socket"):
        field = ("filesystem", "unix_socket_bind" if wanted["writes"] else "unix_socket")
    else:
        field = _FIELDS[decision, kind]
    is_path = kind != "host"
    if not is_said(target, is_path=is_path):
        raise ConfigError(
            f"'{one_line(target)}' cannot be saved: it is too long, or a `*` or `$` in it would stand for "
            "something else in a profile.",
            hint="without --save it holds for the session",
        )
    return Addition((Entry(*field, shortened(target, home) if is_path else target),))


def _of_ports(decision: Decision, target: PortTarget) -> Addition:
    if decision == "deny":
        raise ConfigError("A profile denies no ports: those that it does not grant are refused.")
    if target.host not in (OWN, ANY, LISTEN):
        raise ConfigError(
            f"A profile grants a port of every host, not of {target.host} alone.",
            hint=f"nono allow --direct '*:{target.ports}' --save",
        )
    field = {OWN: "open_port", LISTEN: "listen_port"}.get(target.host, "connect_port")
    ports = range(target.ports.first, target.ports.last + 1)
    if len(ports) > PORTS_MAX:
        raise ConfigError(
            f"{len(ports)} ports are too many to write one by one.",
            hint="network.open_port_range or listen_port_range in a profile",
        )
    return Addition(tuple(Entry("network", field, port) for port in ports))


def _diff(draft: Draft) -> Iterator[str]:
    after = json.dumps(draft.document, indent=2, ensure_ascii=False)
    name = draft.place
    return difflib.unified_diff(draft.before.splitlines(), after.splitlines(), name, name, n=2, lineterm="")
