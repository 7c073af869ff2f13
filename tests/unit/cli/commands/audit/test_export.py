"""`nono audit export` as it is typed: which sessions, which form, and what is refused."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import cwt
import pytest

from nono.audit import event
from nono.audit.ledger import AuditLog
from nono.cli.commands.audit import command, sending
from nono.credentials.signing.key import SigningKey, new_key
from nono.errors import NonoError
from support.outward.collector import collector
from support.ports import unused_port

Export = Callable[..., tuple[int, bytes]]
OCSF = "--format=ocsf"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for variable in ("XDG_CONFIG_HOME", "XDG_STATE_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def export(home: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> Export:
    def run(*arguments: str) -> tuple[int, bytes]:
        capfdbinary.readouterr()
        return command.run(["export", *arguments]), capfdbinary.readouterr().out

    return run


@pytest.fixture
def key(home: Path) -> SigningKey:
    made = new_key()
    (home / "key").write_text(made.secret().reveal())
    (home / "key").chmod(0o600)
    return made


def log_of(home: Path, session_id: str, started: str) -> Path:
    with AuditLog(str(home / ".local/state/nono"), session_id) as log:
        log.record({"type": "session_started", "started": started, "command": ["true"]})
        log.record(event.session_ended(0))
    return Path(log.path)


def sessions(out: bytes) -> list[str]:
    return [json.loads(line)["metadata"]["uid"] for line in out.splitlines()]


def test_each_record_of_a_session_is_a_line(home: Path, export: Export) -> None:
    log_of(home, "a", "2026-01-01T00:00:00+00:00")
    status, out = export("a", OCSF)
    assert (status, sessions(out)) == (0, ["a/0", "a/1"])


def test_all_sessions_come_in_the_order_they_began(home: Path, export: Export) -> None:
    for name, day in (("a", 3), ("b", 1), ("c", 2)):
        log_of(home, name, f"2026-01-0{day}T00:00:00+00:00")
    assert sessions(export("--all", OCSF)[1]) == ["b/0", "b/1", "c/0", "c/1", "a/0", "a/1"]


def test_the_last_days_leave_out_what_began_before(home: Path, export: Export) -> None:
    log_of(home, "old", "2020-01-01T00:00:00+00:00")
    log_of(home, "new", "2100-01-01T00:00:00+00:00")
    assert sessions(export("--last=7d", OCSF)[1]) == ["new/0", "new/1"]


def test_a_log_that_was_changed_is_exported_up_to_the_change(home: Path, export: Export) -> None:
    log = log_of(home, "a", "2026-01-01T00:00:00+00:00")
    log.write_bytes(log.read_bytes().replace(b'exit_code\\":0', b'exit_code\\":1'))
    assert export("a", OCSF)[0] == 1


def test_a_log_that_cannot_be_read_is_left_out_of_several(home: Path, export: Export) -> None:
    log_of(home, "a", "2026-01-01T00:00:00+00:00")
    log = log_of(home, "b", "2026-01-02T00:00:00+00:00")
    log.unlink()
    log.mkdir()
    status, out = export("--all", OCSF)
    assert (status, sessions(out)) == (1, ["a/0", "a/1"])
    with pytest.raises(NonoError, match=r"^the log of session b cannot be read: "):
        export("b", OCSF)


def test_opentelemetry_gets_a_request_for_each_record(home: Path, export: Export) -> None:
    log_of(home, "a", "2026-01-01T00:00:00+00:00")
    file = home / "out.jsonl"
    assert export("a", "--format=otlp", f"--out={file}") == (0, b"")
    records = [
        json.loads(line)["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0]
        for line in file.read_text().splitlines()
    ]
    assert [each["eventName"] for each in records] == [
        "nono.audit.session_started",
        "nono.audit.session_ended",
    ]
    assert {type(each["severityNumber"]) for each in records} == {int}
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_link_of_the_kernel_is_written_through(home: Path, export: Export) -> None:
    """As /dev/stdout is, whose place root could take."""
    log_of(home, "a", "2026-01-01T00:00:00+00:00")
    with (home / "out").open("wb") as file:
        assert export("a", OCSF, f"--out=/proc/self/fd/{file.fileno()}") == (0, b"")
    assert sessions((home / "out").read_bytes()) == ["a/0", "a/1"]


def test_a_collector_is_sent_what_it_has_not_got(home: Path, export: Export) -> None:
    log_of(home, "a", "2026-01-01T00:00:00+00:00")
    with collector() as sink:
        arguments = ("--all", "--format=otlp", f"--to={sink.url}")
        assert export(*arguments)[0] == 0
        log_of(home, "b", "2026-01-02T00:00:00+00:00")
        assert export(*arguments)[0] == 0
        assert (sink.numbers("a"), sink.numbers("b")) == ([0, 1], [0, 1])


def test_a_collector_that_is_away_is_said(
    home: Path, export: Export, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "TIMEOUT_S", 0.3)
    log_of(home, "a", "2026-01-01T00:00:00+00:00")
    assert export("a", "--format=otlp", f"--to=http://127.0.0.1:{unused_port()}")[0] == 1


def test_a_statement_is_about_the_file_of_the_log(home: Path, export: Export) -> None:
    log = log_of(home, "a", "2026-01-01T00:00:00+00:00")
    subjects = json.loads(export("a", "--format=intoto")[1])["subject"]
    assert subjects[1]["digest"]["sha256"] == sha256(log.read_bytes()).hexdigest()


def test_a_key_signs_the_head(home: Path, export: Export, key: SigningKey) -> None:
    log_of(home, "a", "2026-01-01T00:00:00+00:00")
    reference = f"--sign-key=file://{home}/key"
    assert "dsseEnvelope" in json.loads(export("a", "--format=intoto", reference)[1])
    public = cwt.COSEKey.from_pem(key.public.pem, kid=bytes.fromhex(key.public.fingerprint))
    note = cwt.COSE.new().decode(export("a", "--format=cose", reference)[1], public)
    assert note.startswith(b"nono audit log a\nrecords 2\n")


def test_memory_is_private_before_the_key_that_signs_is_read(
    home: Path, export: Export, key: SigningKey, key_steps: list[str]
) -> None:
    log_of(home, "a", "2026-01-01T00:00:00+00:00")
    export("a", "--format=intoto", f"--sign-key=file://{home}/key")
    assert key_steps == ["private", "read"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--all", "--format=intoto"), "for one session"),
        (("a", "--format=cose"), "needs --sign-key"),
        (("a", OCSF, "--sign-key=k"), "--sign-key is for"),
        (("b", OCSF), "Session not found"),
        ((OCSF,), "one of the arguments"),
        (("a",), "--format"),
        (("a", "--all", OCSF), "not allowed with"),
        (("--last=7", OCSF), "such as 7d"),
        (("a", OCSF, "--out=/nowhere/x"), "cannot be written"),
        (("a", OCSF, "--to=http://x"), "--to is for"),
        (("a", "--format=otlp", "--to=x"), "expected a URL"),
        (("a", "--format=otlp", "--to=http://x", "--out=y"), "not allowed with"),
    ],
)
def test_what_cannot_be_exported_is_refused(
    home: Path, export: Export, arguments: tuple[str, ...], words: str
) -> None:
    log_of(home, "a", "2026-01-01T00:00:00+00:00")
    with pytest.raises(NonoError, match=words) as refused:
        export(*arguments)
    is_about_the_files = words in ("Session not found", "cannot be written")
    assert refused.value.exit_code == (1 if is_about_the_files else 2)


def test_a_log_that_was_changed_has_no_head(home: Path, export: Export) -> None:
    log = log_of(home, "a", "2026-01-01T00:00:00+00:00")
    log.write_bytes(log.read_bytes().replace(b'exit_code\\":0', b'exit_code\\":1'))
    with pytest.raises(NonoError, match="so it has no head"):
        export("a", "--format=intoto")
