"""When `nono run` takes its caller for an editor, which would act for the agent outside the sandbox."""

from __future__ import annotations

import os

import pytest

from nono.cli.commands.run.command import _is_of_an_editor


@pytest.mark.parametrize(
    ("command", "terminal", "is_one"),
    [
        (("goose", "acp"), None, True),
        (("gemini", "--experimental-acp"), None, True),
        (("/opt/codex-acp",), None, True),
        (("acp",), None, False),
        (("cat", "an-acp"), None, False),
        ((), None, False),
        (("goose", "acp"), 0, False),
        (("goose", "acp"), 1, False),
        (("goose", "acp"), 2, True),
    ],
)
def test_an_agent_that_speaks_acp_by_pipes_is_of_an_editor(
    monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...], terminal: int | None, is_one: bool
) -> None:
    monkeypatch.setattr(os, "isatty", lambda descriptor: descriptor == terminal)
    assert _is_of_an_editor(command) == is_one
