"""npm fetches from GitHub Packages with the token that it reads from GITHUB_TOKEN, which stays outside."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator

import pytest

from support.agents.stage import AgentStage, agent_stage
from support.nono_run import NONO, program
from support.servers.http1 import Received

HOST = "npm.pkg.github.com"
KEY = "ghp_canaryCanaryCanaryCanaryCanary012345"
# As docs/troubleshooting.md has it.
PACKAGES = {
    "upstream": f"https://{HOST}",
    "credential_key": "env://GITHUB_TOKEN",
    "env_var": "GITHUB_PACKAGES_TOKEN",
}
PACKUMENT = {
    "name": "@me/tool",
    "dist-tags": {"latest": "1.2.3"},
    "versions": {"1.2.3": {"name": "@me/tool", "version": "1.2.3", "dist": {}}},
}
NPMRC = f"@me:registry=https://{HOST}\n//{HOST}/:_authToken=${{GITHUB_TOKEN}}\n"
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a provider its own name")


class Registry:
    def __init__(self) -> None:
        self.seen: list[bytes | None] = []

    def __call__(self, request: Received) -> None:
        self.seen.append(request.value(b"authorization"))
        is_known = self.seen[-1] == f"Bearer {KEY}".encode()
        request.connection.respond(
            200 if is_known else 401, json.dumps(PACKUMENT if is_known else {}).encode()
        )


@pytest.fixture
def registry() -> Registry:
    return Registry()


@pytest.fixture
def stage(registry: Registry) -> Iterator[AgentStage]:
    with agent_stage([HOST], registry, mounts={}, login=".netrc") as stage:
        yield stage


@pytest.mark.parametrize("is_told", [True, False])
def test_npm_has_the_token_of_github_where_a_profile_names_the_registry(
    is_told: bool, stage: AgentStage, registry: Registry
) -> None:
    program("npm")
    network: dict[str, object] = {"credentials": ["github"], "allow_domain": [HOST]}
    if is_told:
        network = {"credentials": ["github", "packages"], "custom_credentials": {"packages": PACKAGES}}
    stage.nono("credential", "set", "github", stdin=KEY)
    stage.runner.give(stage.project)
    for name, content in (
        (".npmrc", NPMRC),
        ("packages.json", json.dumps({"meta": {"name": "packages"}, "network": network})),
    ):
        (stage.project / name).write_text(content, encoding="utf-8")
    nono = [*NONO, "run", "--profile", "./packages.json", "--allow", ".", "--"]
    ended = stage.person([*nono, "sh", "-c", "npm view @me/tool version --fetch-retries=0"])
    assert (ended.stdout.strip() == "1.2.3") is is_told, ended.stderr
    assert registry.seen
    assert {each == f"Bearer {KEY}".encode() for each in registry.seen} == {is_told}
    assert KEY not in ended.stdout + ended.stderr
