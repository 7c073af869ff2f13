"""Define the shapes of output about this machine, about stored credentials, and about a run at its end."""

from __future__ import annotations

from nono.cli.shapes.parts import ANY, Schema, an_object, flag, listed, mapping, maybe, number, text

_FINDING = an_object(
    {
        "check": text("a short name that stays the same between versions"),
        "mark": text("missing: the exit code is 1 then", "ok", "warn", "missing"),
        "meaning": text("a sentence"),
        "remedy": maybe(text("what to do about it; null: nothing has to be done")),
    }
)
DOCTOR: dict[str, Schema] = {
    "nono": text("version of nono"),
    "ok": flag("nothing needed is missing"),
    "machine": listed(_FINDING),
}
DOCTOR_MORE: dict[str, Schema] = {
    "project": listed(_FINDING, "with --project"),
    "project_command": text("with --project: the run that its files ask for"),
    "clients": listed(_FINDING, "with --clients"),
    "clients_not_installed": listed(text(), "with --clients"),
}

CREDENTIAL: dict[str, Schema] = {
    "name": text("as nono credential remove takes it; the value is never printed"),
    "where": text("system keyring, or the path of a file"),
}
LOGIN: dict[str, Schema] = {
    "provider": text(),
    "tokens": number("that are stored; their values are never printed"),
    "where": text("path of the file"),
}

_DENIAL = an_object(
    {
        "path": text(),
        "access": text("", "Read", "Write", "ReadWrite"),
        "reason": text("PolicyBlocked, InsufficientAccess, UserDenied, RateLimited or BackendError"),
    }
)
_IPC = an_object(
    {
        "target": text(),
        "operation": text("", "connect", "bind"),
        "reason": text("", "UnixSocketDenied"),
        "remediation": text(),
    },
    "",
    {"suggested_flag": text("the option that would allow it")},
)
_DIAGNOSTIC = an_object(
    {"code": text("a fixed word"), "severity": text("", "info", "warning", "error"), "message": text()},
    "",
    {
        "hint": text("the option that would help"),
        "remediation": an_object({"kind": text("a fixed word, such as grant_path")}),
        "path": text(),
        "access": text("", "Read", "Write", "ReadWrite"),
        "detail": text(),
    },
)
DIAGNOSTICS: dict[str, Schema] = {
    "session": an_object(
        {
            "exit_code": number("of the command"),
            "denials": listed(_DENIAL, "of files that somebody was asked about"),
            "ipc_denials": listed(_IPC, "of Unix sockets"),
            "violations": listed(mapping(ANY), "empty"),
            "diagnostics": listed(_DIAGNOSTIC),
        }
    )
}
DIAGNOSTICS_MORE: dict[str, Schema] = {"proxy": listed(mapping(ANY), "denials of the proxy, if any")}
