"""nono.policy.why.lacking.model_clouds: a cloud that an agent was to use."""

from __future__ import annotations

import pytest

from nono.policy.why.lacking.model_clouds import cloud_of_agent

VERTEX = ("CLAUDE_CODE_USE_VERTEX", "Google Vertex AI")
SET = {"CLAUDE_CODE_USE_BEDROCK": "false", "CLAUDE_CODE_USE_VERTEX": "1", "CLAUDE_CODE_USE_FOUNDRY": ""}


@pytest.mark.parametrize(
    ("command", "given", "named"),
    [
        pytest.param(["/home/me/.local/bin/claude", "-p", "hi"], (), VERTEX, id="by its path"),
        pytest.param(["sh", "-c", "cd src && claude"], (), VERTEX, id="in a script"),
        pytest.param(["claude"], ("CLAUDE_CODE_USE_VERTEX",), None, id="set by the profile"),
        pytest.param(["codex"], (), None, id="another agent"),
    ],
)
def test_the_cloud_is_the_one_that_the_shell_asks_for(
    command: list[str], given: tuple[str, ...], named: tuple[str, str] | None
) -> None:
    assert cloud_of_agent(command, SET, given) == named


def test_no_cloud_is_told_where_all_are_off() -> None:
    assert cloud_of_agent(["claude"], dict.fromkeys(SET, "0"), ()) is None
