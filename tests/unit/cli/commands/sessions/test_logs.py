"""nono.cli.commands.sessions.logs: what is printed of a log that is followed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from types import SimpleNamespace
from typing import Any, cast

import pytest

from nono.cli.commands.sessions import logs
from nono.cli.commands.sessions.chosen import Chosen


def test_a_log_that_was_changed_is_told_once_however_long_it_is_followed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    batches = [[], [b"{}\n"], [b"{}\n"]]

    @contextmanager
    def following(session: Chosen, directory: str) -> Iterator[Any]:
        yield SimpleNamespace(opened=nullcontext, batches=lambda file: batches)

    monkeypatch.setattr(logs, "following", following)
    logs._follow(cast(Chosen, None), "/audit/20261202", None, as_json=True)
    told = "nono: the log is damaged: record 0 cannot be parsed; nono audit verify 20261202 says more\n"
    assert capsys.readouterr().err == told
