"""nono.policy.learning.agent_programs: where the state of an agent is, whatever moves it there."""

from __future__ import annotations

from posixpath import normpath

import pytest

from nono.policy.learning.agent_programs import (
    HOMES,
    INSTALLED,
    MOVED,
    RENDEZVOUS,
    SNAPSHOTS,
    state_directories,
)
from nono.policy.path_expansion import PathContext

HOME = "/home/ada"


@pytest.mark.parametrize(
    ("state", "variables", "moved"),
    [
        (".claude", {"CLAUDE_CONFIG_DIR": "/data/claude"}, ["/data/claude"]),
        (".codex", {"CODEX_HOME": "/data/codex/"}, ["/data/codex"]),
        (".codex", {"CODEX_HOME": "codex"}, ["/work/codex"]),
        (".codex", {"CODEX_HOME": ""}, []),
        (".codex", {"CODEX_HOME": f"{HOME}/.codex"}, []),
        (".codex", {"QWEN_HOME": "/data/qwen"}, []),
        (".gemini", {"GEMINI_CLI_HOME": "/data"}, ["/data/.gemini"]),
        (".qwen", {"QWEN_HOME": "/data/qwen"}, ["/data/qwen"]),
        (".config/opencode", {"XDG_CONFIG_HOME": "/data"}, ["/data/opencode"]),
        (".config/opencode", {"OPENCODE_CONFIG_DIR": "/data/mine"}, ["/data/mine"]),
        (".cache/opencode", {"XDG_CACHE_HOME": "/data"}, ["/data/opencode"]),
        (".local/share/opencode", {"XDG_DATA_HOME": "/data"}, ["/data/opencode"]),
    ],
)
def test_a_variable_adds_where_an_agent_keeps_its_state(
    state: str, variables: dict[str, str], moved: list[str]
) -> None:
    paths = PathContext(HOME, "/work", "/work", {"HOME": HOME, **variables})
    assert state_directories(state, paths, normpath) == [f"{HOME}/{state}", *moved]


def test_a_state_to_which_two_links_lead_is_one() -> None:
    paths = PathContext(HOME, "/", "/", {"HOME": HOME, "CODEX_HOME": "/data/codex"})
    assert state_directories(".codex", paths, lambda _: "/dotfiles") == ["/dotfiles"]


def test_every_state_that_is_moved_is_one_that_is_looked_for() -> None:
    assert set(MOVED) == {*HOMES, *INSTALLED, *RENDEZVOUS, *SNAPSHOTS}
