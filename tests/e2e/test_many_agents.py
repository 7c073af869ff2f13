"""Twenty real agents at once under one login: none loses it, and each expiry is followed by one renewal."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Lock

import pytest

from support.agents.codex import CODEX, OUTSIDE, CodexScene, codex_scene
from support.agents.programs import LIMIT_S
from support.agents.stage import TIMEOUT_S
from support.agents.subscriptions import CANARY, Tokens
from support.servers.http1 import Received

TURNS = 20
STORE = ".local/state/nono/oauth-capture/providers.json"
pytestmark = [pytest.mark.slow, pytest.mark.timeout(LIMIT_S + TIMEOUT_S)]


@dataclass
class Expiring(Tokens):
    """Tokens of which the access token expires again, once, after so many requests to the model."""

    calls_left: int = TURNS
    _counting: Lock = field(default_factory=Lock)

    def accepts(self, request: Received) -> bool:
        with self._counting:
            if not super().accepts(request):
                return False
            if request.method == b"POST":
                self.calls_left -= 1
                if self.calls_left == 0:
                    self.expire()
            return True


@pytest.fixture
def codex() -> Iterator[CodexScene]:
    with codex_scene(has_file=True) as scene:
        scene.chatgpt.tokens = Expiring(form=scene.chatgpt.tokens.form)
        yield scene


def test_twenty_turns_of_codex_at_once_keep_one_login_through_two_expiries(codex: CodexScene) -> None:
    codex.log_in_outside()
    codex.stage.nono("credential", "import", "codex")
    codex.chatgpt.tokens.expire()
    with ThreadPoolExecutor(TURNS) as pool:
        runs = list(pool.map(lambda _: codex.stage.run("codex", CODEX), range(TURNS)))
    shown = "".join(run.stdout + run.stderr for run in runs)
    assert [run.exit_code for run in runs] == [0] * TURNS, shown
    assert len(codex.api.results) == TURNS
    assert all("tried" in told for told in codex.api.results)
    assert codex.chatgpt.tokens.renewals == 2
    assert codex.chatgpt.tokens.refresh != set()  # the login is alive
    assert CANARY not in shown + json.dumps(codex.api.results)
    assert codex.stage.files_with(CANARY) == {OUTSIDE, STORE}
