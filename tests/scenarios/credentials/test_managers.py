"""Password managers, played by scripts that behave as their command lines do, in health and otherwise."""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from nono.credentials import resolver
from nono.credentials.sources import manager
from nono.credentials.values.errors import CredentialNotFound, CredentialUnavailable
from nono.errors import NonoError
from nono.secret import Secret

CANARY = "c4n4ryC4N4RYc4n4ry0123456789"

Install = Callable[[str, str], dict[str, str]]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Return a function that installs a script under a name, and returns the environment to find it with."""
    directory = tmp_path / "bin"
    directory.mkdir(mode=0o755)
    project = tmp_path / "project"
    project.mkdir()
    monkeypatch.chdir(project)

    def install(name: str, script: str) -> dict[str, str]:
        (directory / name).write_text(f"#!/bin/sh\n{script}\n")
        (directory / name).chmod(0o755)
        return {"HOME": str(tmp_path), "PATH": f"{directory}:/usr/bin:/bin"}

    return install


ITEM = {
    "id": "1",
    "notes": "one line",
    "login": {
        "username": "me",
        "password": CANARY,
        "totp": "JBSWY3DPEHPK3PXP",
        "uris": [{"match": None, "uri": "https://first.example"}, {"uri": "https://second.example"}],
    },
    "fields": [
        {"name": "password", "value": "custom, and hidden by the item's own", "type": 0},
        {"name": "api_key", "value": "lower", "type": 1},
        {"name": "API_KEY", "value": "upper", "type": 1},
        {"name": "empty", "value": None, "type": 0},
    ],
}
PRINTS_ARGUMENTS = 'for a; do printf "%s|" "$a"; done'


@pytest.mark.parametrize(
    ("program", "reference", "arguments"),
    [
        ("op", "op://v/i/f", "read|--|op://v/i/f|"),
        ("op", "op://--v/-i/-f", "read|--|op://--v/-i/-f|"),
        ("op", "op://my vault/i/s/f", "read|--|op://my vault/i/s/f|"),
        ("bw", "bw://id", "get|password|--|id|"),
        ("pass", "pass://a/b c", "show|--|a/b c|"),
    ],
)
def test_a_manager_takes_no_part_of_a_reference_for_an_option(
    install: Install, program: str, reference: str, arguments: str
) -> None:
    assert resolver.resolve_credential(reference, install(program, PRINTS_ARGUMENTS)) == Secret(arguments)


@pytest.mark.parametrize(
    ("program", "reference"), [("op", "op://v/i/f"), ("bw", "bw://id"), ("pass", "pass://e")]
)
@pytest.mark.parametrize("end", ["", r"\n", r"\r\n"])
def test_the_end_of_the_line_is_no_part_of_the_credential(
    install: Install, program: str, reference: str, end: str
) -> None:
    environ = install(program, f"printf '{CANARY}{end}'")
    assert resolver.resolve_credential(reference, environ) == Secret(CANARY)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("password", CANARY),
        ("username", "me"),
        ("totp", "JBSWY3DPEHPK3PXP"),
        ("notes", "one line"),
        ("uri", "https://first.example"),
        ("api_key", "lower"),
        ("API_KEY", "upper"),
    ],
)
def test_a_field_of_a_bitwarden_item_is_read(install: Install, field: str, value: str) -> None:
    environ = install("bw", f"[ \"$*\" = 'get item -- id' ] && cat << 'END'\n{json.dumps(ITEM)}\nEND")
    assert resolver.resolve_credential(f"bw://id/{field}", environ) == Secret(value)


@pytest.mark.parametrize(
    ("item", "field", "error"),
    [
        (json.dumps(ITEM), "Api_key", CredentialNotFound),
        (json.dumps(ITEM), "Password", CredentialNotFound),
        (json.dumps(ITEM), "empty", CredentialNotFound),
        ('{"login": null, "fields": null}', "password", CredentialNotFound),
        ('{"login": {"uris": []}}', "uri", CredentialNotFound),
        ('{"login": {"uris": ["x"]}}', "uri", CredentialNotFound),
        ('{"fields": ["x", {"name": "f", "value": 3}]}', "f", CredentialNotFound),
        ('{"notes": "' + CANARY + r'\nsecond line"}', "notes", CredentialUnavailable),
        ('{"notes": "' + CANARY + r'\ud800"}', "notes", CredentialUnavailable),
        ('{"notes": "' + CANARY, "notes", CredentialUnavailable),
        (f'["{CANARY}"]', "notes", CredentialUnavailable),
        ("[" * 20000, "notes", CredentialUnavailable),
    ],
)
def test_an_item_without_that_field_is_refused_without_showing_it(
    install: Install, item: str, field: str, error: type[NonoError]
) -> None:
    environ = install("bw", f"cat << 'END'\n{item}\nEND")
    refused_unseen(f"bw://id/{field}", environ, error)


LOCKED = {
    "op": [
        "[ERROR] 2024/01/02 03:04:05 You are not currently signed in. Please run `op signin --help`",
        "error initializing client: authentication required",
        "[ERROR] session expired, sign in to create a new session",
        "connecting to desktop app: not signed in; item could not be found",
    ],
    "bw": [
        "You are not logged in.",
        "Vault is locked.",
        "? Master password: [input is hidden]",
        "Error [ERR_USE_AFTER_CLOSE]: readline was closed",
        "Session has expired.",
        "Not authenticated.",
    ],
    "pass": [
        "gpg: decryption failed: No secret key",
        "gpg: public key decryption failed: No pinentry",
        "gpg: public key decryption failed: Operation cancelled",
        "gpg: Inappropriate ioctl for device",
    ],
}
ABSENT = {
    "op": [
        '[ERROR] "i" isn\'t an item in the "v" vault. Specify the item',
        '[ERROR] could not read secret: could not find item i in vault v: "i" not found',
    ],
    "bw": ["Not found."],
    "pass": ["Error: e is not in the password store."],
}
REFERENCES = {"op": "op://v/i/f", "bw": "bw://id", "pass": "pass://e"}


@pytest.mark.parametrize(
    ("program", "message"), [(program, message) for program in LOCKED for message in LOCKED[program]]
)
def test_a_locked_manager_is_an_error_that_says_how_to_unlock_it(
    install: Install, program: str, message: str
) -> None:
    environ = install(program, f"cat >&2 << 'END'\nnoise first\n{message}\nEND\necho {CANARY}\nexit 1")
    error = refused_unseen(REFERENCES[program], environ, CredentialUnavailable)
    assert "is locked, or not signed in" in error.message
    assert error.hint is not None
    assert program in error.hint


@pytest.mark.parametrize(
    ("program", "message"), [(program, message) for program in ABSENT for message in ABSENT[program]]
)
def test_an_entry_that_is_not_there_is_not_found(install: Install, program: str, message: str) -> None:
    environ = install(program, f"cat >&2 << 'END'\n{message}\nEND\nexit 1")
    error = refused_unseen(REFERENCES[program], environ, CredentialNotFound)
    assert "knows no such entry" in error.message


BAD: dict[str, tuple[str, type[NonoError], str]] = {
    "fails in its own words, with the secret in them": (
        f"echo {CANARY}; echo 'panic: {CANARY}' >&2; exit 2",
        CredentialUnavailable,
        "exit status 2",
    ),
    "is killed": (f"echo {CANARY}; kill -KILL $$", CredentialUnavailable, "exit status -9"),
    "prints 10 MB": (f"yes {CANARY} | head -c 10000000", CredentialUnavailable, "64 KiB"),
    "prints a control character": (rf"printf '{CANARY}\033[0m'", CredentialUnavailable, "control"),
    "prints what is no text": (rf"printf '{CANARY}\377'", CredentialUnavailable, "UTF-8"),
    "prints NUL": (rf"printf '{CANARY}\000x'", CredentialUnavailable, "control"),
    "has no interpreter": ("", CredentialUnavailable, "could not be started"),
}


@pytest.mark.parametrize("program", REFERENCES)
@pytest.mark.parametrize("name", BAD)
def test_a_failing_secret_manager_is_an_error_that_hides_its_output(
    install: Install, program: str, name: str
) -> None:
    script, error, part = BAD[name]
    environ = install(program, script)
    if name == "has no interpreter":
        (Path(environ["PATH"].partition(":")[0]) / program).write_text("#!/nonexistent\n")
    assert part in refused_unseen(REFERENCES[program], environ, error).message


@pytest.mark.parametrize(("program", "error"), [("op", CredentialUnavailable), ("bw", CredentialUnavailable)])
def test_two_lines_are_no_credential(install: Install, program: str, error: type[NonoError]) -> None:
    refused_unseen(REFERENCES[program], install(program, rf"printf '{CANARY}\nsecond\n'"), error)


def test_of_a_pass_entry_the_first_line_is_the_credential(install: Install) -> None:
    environ = install("pass", rf"printf '{CANARY}\nuser: me\nurl: x\n'")
    assert resolver.resolve_credential("pass://e", environ) == Secret(CANARY)


def test_a_folder_of_the_password_store_is_no_entry(install: Install) -> None:
    environ = install("pass", "printf 'work/mail\\n├── a\\n└── b\\n'")
    refused_unseen("pass://work/mail", environ, CredentialNotFound)


@pytest.mark.parametrize("output", ["", r"\n", r" \r\n"], ids=["nothing", "a line end", "blanks"])
@pytest.mark.parametrize("reference", ["bw://id", "bw://id/password"])
def test_bitwarden_that_succeeds_with_blank_output_is_locked(
    install: Install, reference: str, output: str
) -> None:
    error = refused_unseen(reference, install("bw", f"printf '{output}'"), CredentialUnavailable)
    assert "is locked" in error.message


@pytest.mark.parametrize(("program", "reference"), [("op", "op://v/i/f"), ("pass", "pass://e")])
def test_another_managers_empty_entry_is_not_found(install: Install, program: str, reference: str) -> None:
    refused_unseen(reference, install(program, "echo"), CredentialNotFound)


@pytest.mark.parametrize("program", REFERENCES)
def test_a_manager_that_is_not_installed_comes_with_a_hint(
    install: Install, program: str, tmp_path: Path
) -> None:
    install("other", "")
    environ = {"HOME": str(tmp_path), "PATH": str(tmp_path / "bin")}
    error = refused_unseen(REFERENCES[program], environ, CredentialUnavailable)
    assert f"'{program}' is not installed" in error.message
    assert (error.hint or "").startswith("install ")


def test_a_manager_that_hangs_is_stopped(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manager, "TIMEOUT_S", 0.5)
    environ = install("op", f"echo {CANARY}; exec sleep 1000")
    error = refused_unseen("op://v/i/f", environ, CredentialUnavailable)
    assert "did not answer within 0.5 s" in error.message


def test_an_op_that_was_planted_in_the_working_directory_is_not_run(install: Install, tmp_path: Path) -> None:
    environ = install("op", f"echo {CANARY}")
    planted = tmp_path / "project" / "op"
    planted.write_text(f"#!/bin/sh\n: > {tmp_path}/ran\necho planted\n")
    planted.chmod(0o755)
    for first in (str(tmp_path / "project"), ".", ""):
        path = f"{first}:{environ['PATH']}"
        assert resolver.resolve_credential("op://v/i/f", environ | {"PATH": path}) == Secret(CANARY)
        error = refused_unseen("op://v/i/f", environ | {"PATH": first or "."}, CredentialUnavailable)
        assert "op" in error.message
    assert not (tmp_path / "ran").exists()


def test_nor_is_a_gpg_that_was_planted_for_pass(install: Install, tmp_path: Path) -> None:
    environ = install("pass", "gpg")
    install("gpg", f"echo {CANARY}")
    planted = tmp_path / "project" / "gpg"
    planted.write_text("#!/bin/sh\necho planted\n")
    planted.chmod(0o755)
    path = f"{planted.parent}:.:{environ['PATH']}"
    assert resolver.resolve_credential("pass://e", environ | {"PATH": path}) == Secret(CANARY)


def test_a_manager_sees_no_secret_but_its_own_session(install: Install) -> None:
    environ = install(
        "bw", '[ "$BW_SESSION" = s ] && [ -z "$OP_SESSION$OPENAI_API_KEY$HTTPS_PROXY" ] && echo yes'
    )
    secrets = {"BW_SESSION": "s", "OP_SESSION": "o", "OPENAI_API_KEY": CANARY, "HTTPS_PROXY": "http://x"}
    assert resolver.resolve_credential("bw://id", environ | secrets) == Secret("yes")


def refused_unseen(reference: str, environ: dict[str, str], kind: type[NonoError]) -> NonoError:
    """Return the error, after a look for the secret in all that could be printed of it."""
    with pytest.raises(kind) as caught:
        resolver.resolve_credential(reference, environ)
    error = caught.value
    assert type(error) is kind
    shown = "".join(traceback.format_exception(error)) + f"{error!r}{error.message}{error.hint}"
    chained = error.__context__
    while chained is not None:
        shown += repr(chained) + repr(vars(chained)) + repr(chained.args)
        chained = chained.__context__
    assert CANARY not in shown
    return error
