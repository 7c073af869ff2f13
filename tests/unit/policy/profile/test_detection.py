"""Which profiles the files of a project ask for."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from nono.policy.builtin import shipped
from nono.policy.profile.detection import (
    AGENTS,
    STATE_OF_OTHER_AGENTS,
    agent_profile,
    detected,
    programs,
    without_profile,
)


@pytest.mark.parametrize(
    ("files", "profiles"),
    [
        (("Cargo.toml", "src"), {"rust-dev": "Cargo.toml"}),
        (("package.json",), {"node-dev": "package.json"}),
        (("package.json", "bun.lock"), {"bun-dev": "bun.lock"}),
        (("setup.py", "pyproject.toml", "go.mod"), {"go-dev": "go.mod", "python-dev": "pyproject.toml"}),
        (("cargo.toml", "README.md"), {}),
        (("pnpm-lock.yaml", "package.json"), {"node-dev": "package.json"}),
        (("pnpm-lock.yaml", "uv.lock"), {"node-dev": "pnpm-lock.yaml", "python-dev": "uv.lock"}),
    ],
)
def test_a_file_asks_for_its_profile(files: tuple[str, ...], profiles: dict[str, str]) -> None:
    assert detected(files) == profiles
    assert set(profiles) <= set(shipped.profile_names())


@pytest.mark.parametrize(
    ("files", "wanted"),
    [
        (("package.json",), {}),
        (("package.json", "pnpm-lock.yaml"), {"pnpm": "pnpm-lock.yaml"}),
        (("go.mod", "Cargo.toml"), {"cargo": "Cargo.toml", "go": "go.mod"}),
        (("pom.xml",), {"mvn": "pom.xml"}),
        (("pom.xml", "mvnw"), {}),
    ],
)
def test_a_file_asks_for_the_program_that_works_on_it(files: tuple[str, ...], wanted: dict[str, str]) -> None:
    assert programs(files) == wanted


@pytest.mark.parametrize(
    ("files", "toolchains"), [(("Gemfile", "Cargo.toml"), {"Ruby": "Gemfile"}), (("Cargo.toml",), {})]
)
def test_a_toolchain_without_a_profile_is_known(files: tuple[str, ...], toolchains: dict[str, str]) -> None:
    assert without_profile(files) == toolchains


@pytest.mark.parametrize("reference", [None, "default", "node-dev", "node-dev,python-dev"])
@pytest.mark.parametrize("program", AGENTS)
def test_an_agent_without_its_profile_has_one(program: str, reference: str | None) -> None:
    assert agent_profile(program, reference) in shipped.profile_names()


@pytest.mark.parametrize(
    ("program", "reference"),
    [("claude", "claude-code"), ("claude", "node-dev,mine"), ("claude", "./mine.json"), ("node", None)],
)
def test_no_profile_is_named_beside_one_that_may_be_for_agents(program: str, reference: str | None) -> None:
    assert agent_profile(program, reference) is None


@pytest.mark.parametrize("program", STATE_OF_OTHER_AGENTS)
def test_no_agent_is_to_share_its_cache_with_itself_outside(program: str) -> None:
    assert [path for path in STATE_OF_OTHER_AGENTS[program] if path.startswith("~/.cache")] == []


@pytest.mark.parametrize(
    ("program", "agent"),
    [
        *(("cline", "Cline"), ("cn", "Continue"), ("kilo", "Kilo"), ("mini", "mini-swe-agent")),
        *(("openhands", "OpenHands"), ("pi", "pi"), ("gptme", "gptme")),
    ],
)
def test_the_state_of_an_agent_without_a_profile_is_what_the_page_says(program: str, agent: str) -> None:
    page = (Path(__file__).parents[4] / "docs/agents.md").read_text(encoding="utf-8")
    [state] = re.findall(rf"^\| {agent} \([^|]*\|[^|]*\|([^|]*)\|", page, re.MULTILINE)
    places = re.findall(r"`(~[^`]*)`", state)
    below = re.match(r" `(\w+)` in ((?:`[^`]*`, )+)", state)
    within = re.findall(r"`([^`]*)`", below[2]) if below else []
    assert below is None or below[1] == program
    named = {f"{place}/{program}" if place in within else place for place in places}
    assert named == set(STATE_OF_OTHER_AGENTS[program])
