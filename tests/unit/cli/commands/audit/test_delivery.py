"""`nono audit status` and `sync`, with a collector that is away and comes back."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from nono.audit import event
from nono.audit.ledger import AuditLog
from nono.cli.commands.audit import command, sending
from nono.settings.file import config_path
from support.outward.collector import Collector, collector

Audit = Callable[..., tuple[int, str]]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for variable in ("XDG_CONFIG_HOME", "XDG_STATE_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(sending, "TIMEOUT_S", 0.75)  # too short to ask again, which comes after a second
    return tmp_path


@pytest.fixture
def audit(home: Path, capsys: pytest.CaptureFixture[str]) -> Audit:
    def run(*arguments: str) -> tuple[int, str]:
        capsys.readouterr()
        return command.run(arguments), capsys.readouterr().out

    return run


@pytest.fixture
def sink() -> Iterator[Collector]:
    with collector() as found:
        yield found


def logged(home: Path, session_id: str) -> None:
    with AuditLog(str(home / ".local/state/nono"), session_id) as log:
        log.record(event.session_started(["true"]))
        log.record(event.session_ended(0))


def document(audit: Audit, action: str = "status") -> Any:
    return json.loads(audit(action, "--json")[1])


def test_a_person_without_a_collector_is_told_how_to_have_one(home: Path, audit: Audit) -> None:
    assert document(audit) == {"format": 1, "enrolled": False, "queued": 0, "collectors": []}
    assert "--audit-otlp" in audit("status")[1]
    logged(home, "a")
    assert document(audit)["enrolled"] is False
    assert audit("sync")[0] == 0


def test_the_collector_of_the_settings_is_listed(home: Path, audit: Audit) -> None:
    path = Path(config_path({"HOME": str(home)}))
    path.parent.mkdir(parents=True)
    path.write_text('[audit]\notlp = "https://otel.example"\n')
    found = document(audit)
    assert (found["enrolled"], found["queued"]) == (True, 0)
    assert [each["collector"] for each in found["collectors"]] == ["https://otel.example"]


def test_what_a_collector_has_not_got_is_sent(
    home: Path, audit: Audit, sink: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    for session_id in ("a", "b"):
        logged(home, session_id)
    sink.answer = lambda records: 503
    assert audit("export", "--all", "--format=otlp", f"--to={sink.url}")[0] == 1
    owed = {"collector": sink.url, "queued": 4, "sessions": ["a", "b"], "refused": 0}
    assert document(audit) == {"format": 1, "enrolled": True, "queued": 4, "collectors": [owed]}
    assert audit("sync")[0] == 1
    assert document(audit)["queued"] == 4
    sink.answer = lambda records: 200
    monkeypatch.setattr(sending, "TIMEOUT_S", 20.0)
    assert document(audit, "sync")["queued"] == 0
    assert (sink.numbers("a"), sink.numbers("b")) == ([0, 1], [0, 1])
    assert "0 record(s) to be sent" in audit("status")[1]


def test_what_a_collector_answers_commands_no_terminal(
    home: Path,
    audit: Audit,
    sink: Collector,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(BaseHTTPRequestHandler.responses, 503, ("\x1b]0;title\x07\x9b2J", ""))
    logged(home, "a")
    sink.answer = lambda records: 503
    assert command.run(["export", "--all", "--format=otlp", f"--to={sink.url}"]) == 1
    assert r"it has answered 503 \x1b]0;title\x07\x9b2J" in capsys.readouterr().err


def test_what_a_collector_refuses_is_counted(home: Path, audit: Audit, sink: Collector) -> None:
    logged(home, "a")
    sink.answer = lambda records: 400
    audit("export", "--all", "--format=otlp", f"--to={sink.url}")
    (found,) = document(audit)["collectors"]
    assert (found["queued"], found["refused"]) == (0, 2)


@pytest.mark.parametrize("content", ["", "{}", '{"endpoint": "https://else.example", "sent": 0, "gaps": 0}'])
def test_a_cursor_that_is_not_its_own_says_nothing(
    home: Path, audit: Audit, sink: Collector, content: str
) -> None:
    logged(home, "a")
    (home / ".local/state/nono/audit/a/otlp-0123456789abcdef.json").write_text(content)
    assert document(audit)["collectors"] == []
