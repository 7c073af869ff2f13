"""The services of model providers whose clients speak OpenAI's protocol or one of their own."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from support.agents.stage import AgentStage, agent_stage
from support.clients.run import refused_by_proxy
from support.nono_run import NONO, Ended
from support.servers.http1 import Received

# Of each service its variable, and where its own client or that of litellm sends a key.
SERVICES = {
    "openrouter": ("OPENROUTER_API_KEY", "openrouter.ai/api/v1/chat/completions"),
    "mistral": ("MISTRAL_API_KEY", "api.mistral.ai/v1/chat/completions"),
    "groq": ("GROQ_API_KEY", "api.groq.com/openai/v1/chat/completions"),
    "deepseek": ("DEEPSEEK_API_KEY", "api.deepseek.com/beta/chat/completions"),
    "xai": ("XAI_API_KEY", "api.x.ai/v1/chat/completions"),
    "fireworks": ("FIREWORKS_API_KEY", "api.fireworks.ai/inference/v1/chat/completions"),
    "cohere": ("COHERE_API_KEY", "api.cohere.com/v2/chat"),
    "perplexity": ("PERPLEXITY_API_KEY", "api.perplexity.ai/chat/completions"),
    "cerebras": ("CEREBRAS_API_KEY", "api.cerebras.ai/v1/chat/completions"),
}
HOSTS = [url.partition("/")[0] for _, url in SERVICES.values()]
ASK = """
ask() { curl -s -o /dev/null -w '%{http_code}\\n' -d '{}' -H "Authorization: Bearer $1" "https://$2"; }
"""
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a provider its own name")


def key_of(service: str) -> str:
    return f"canary-of-{service}-0123456789abcdef"


class Providers:
    def __init__(self) -> None:
        self.seen: dict[str, bytes | None] = {}  # Authorization by URL

    def __call__(self, request: Received) -> None:
        request.read_body()
        host = (request.value(b"host") or b"").decode()
        self.seen[host + request.target.decode()] = request.value(b"authorization")
        request.connection.respond(200, b"{}")


@pytest.fixture
def providers() -> Providers:
    return Providers()


@pytest.fixture
def stage(providers: Providers) -> Iterator[AgentStage]:
    with agent_stage(HOSTS, providers, mounts={}, login=".netrc") as stage:
        yield stage


def inside(stage: AgentStage, script: str, **keys: str) -> Ended:
    before = set(stage.runner.logs())
    options = [word for service in SERVICES for word in ("--credential", service)]
    ended = stage.person([*NONO, "run", *options, "--", "sh", "-c", ASK + script], environment=keys)
    return Ended(ended.returncode, ended.stdout, ended.stderr, stage.runner.events_since(before))


def test_each_provider_gets_its_key_and_the_command_a_placeholder(
    stage: AgentStage, providers: Providers
) -> None:
    """One key is stored and the others stand in the variables that the providers' clients read."""
    stage.nono("credential", "set", "groq", stdin=key_of("groq"))
    keys = {variable: key_of(name) for name, (variable, _) in SERVICES.items() if name != "groq"}
    asked = "".join(f'ask "${variable}" {url}\n' for variable, url in SERVICES.values())
    run = inside(stage, f"{asked}env", **keys)
    assert run.stdout.startswith("200\n" * len(SERVICES)), run.stderr
    assert providers.seen == {url: f"Bearer {key_of(name)}".encode() for name, (_, url) in SERVICES.items()}
    assert "canary-of" not in run.stdout + run.stderr


def test_the_placeholder_of_one_provider_does_not_open_another(
    stage: AgentStage, providers: Providers
) -> None:
    keys = {variable: key_of(name) for name, (variable, _) in SERVICES.items()}
    run = inside(stage, 'ask "$MISTRAL_API_KEY" api.groq.com/openai/v1/chat/completions', **keys)
    assert providers.seen == {}
    assert refused_by_proxy(run) == [("authentication_failed", "api.groq.com")]
