"""The services of model providers whose clients speak OpenAI's protocol or one of their own."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from support.agents.stage import AgentStage, agent_stage
from support.clients.run import refused_by_proxy
from support.nono_run import NONO, Ended
from support.servers.http1 import Received, upstream

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
# Variables of addresses, and what their readers append: the SDK of each provider; Hermes Agent, which alone
# reads those of DeepSeek and xAI.
ADDRESSES = {
    "openrouter": ("OPENROUTER_BASE_URL", "/chat/completions"),
    "groq": ("GROQ_BASE_URL", "/openai/v1/chat/completions"),
    "deepseek": ("DEEPSEEK_BASE_URL", "/beta/chat/completions"),
    "xai": ("XAI_BASE_URL", "/chat/completions"),
    "fireworks": ("FIREWORKS_BASE_URL", "/inference/v1/chat/completions"),
    "cohere": ("CO_API_URL", "/v2/chat"),
    "perplexity": ("PERPLEXITY_BASE_URL", "/chat/completions"),
    "cerebras": ("CEREBRAS_BASE_URL", "/v1/chat/completions"),
}
HOSTS = [url.partition("/")[0] for _, url in SERVICES.values()]
GATEWAY = "https://llm.corp.example/models"
ASK = """
ask() { curl -s -o /dev/null -w '%{http_code}\\n' -d '{}' -H "Authorization: Bearer $1" "$2"; }
"""
# Serve a port of loopback, and print the names by which a client that heeds the proxy variables reaches it.
SERVED = """python3 -c '
import http.server, sys, threading, urllib.error, urllib.request
class Own(http.server.BaseHTTPRequestHandler):
    def do_GET(self): self.send_response(204); self.end_headers()
    def log_message(self, *words): pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Own)
threading.Thread(target=server.serve_forever, daemon=True).start()
for name in sys.argv[1:]:
    try: urllib.request.urlopen(f"http://{name}:{server.server_port}/")
    except urllib.error.HTTPError: continue
    print(name)
' """
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
    hosts = [*HOSTS, "api.anthropic.com", "llm.corp.example"]
    with agent_stage(hosts, providers, mounts={}, login=".netrc") as stage:
        yield stage


def inside(stage: AgentStage, script: str, *services: str, profile: str = "default", **given: str) -> Ended:
    before = set(stage.runner.logs())
    options = [word for service in services for word in ("--credential", service)]
    nono = [*NONO, "run", "--profile", profile, *options, "--allow-cwd", "--"]
    ended = stage.person([*nono, "sh", "-c", ASK + script], environment=given)
    return Ended(ended.returncode, ended.stdout, ended.stderr, stage.runner.events_since(before))


def test_each_provider_gets_its_key_and_the_command_a_placeholder(
    stage: AgentStage, providers: Providers
) -> None:
    """One key is stored and the others stand in the variables that the providers' clients read."""
    stage.nono("credential", "set", "groq", stdin=key_of("groq"))
    keys = {variable: key_of(name) for name, (variable, _) in SERVICES.items() if name != "groq"}
    asked = "".join(f'ask "${variable}" https://{url}\n' for variable, url in SERVICES.values())
    run = inside(stage, f"{asked}env", *SERVICES, **keys)
    assert run.stdout.startswith("200\n" * len(SERVICES)), run.stderr
    assert providers.seen == {url: f"Bearer {key_of(name)}".encode() for name, (_, url) in SERVICES.items()}
    assert "canary-of" not in run.stdout + run.stderr


def test_the_address_in_a_variable_is_complete_but_for_what_its_readers_append(
    stage: AgentStage, providers: Providers
) -> None:
    keys = {variable: key_of(name) for name, (variable, _) in SERVICES.items()}
    lines = [f'ask "${SERVICES[name][0]}" "${address}{path}"' for name, (address, path) in ADDRESSES.items()]
    run = inside(stage, "\n".join(lines), *SERVICES, **keys)
    assert run.stdout == "200\n" * len(ADDRESSES), run.stderr
    assert providers.seen == {SERVICES[name][1]: f"Bearer {key_of(name)}".encode() for name in ADDRESSES}


@pytest.mark.parametrize(("service", "answer"), [("xai", "403"), ("xai=https://api.x.ai", "200")])
def test_a_key_is_for_the_path_of_its_address_alone(
    stage: AgentStage, providers: Providers, service: str, answer: str
) -> None:
    """The SDK of xAI speaks gRPC, whose paths are names of services."""
    url = "api.x.ai/xai_api.Chat/GetCompletion"
    run = inside(stage, f'ask "$XAI_API_KEY" https://{url}', service, XAI_API_KEY=key_of("xai"))
    assert run.stdout == f"{answer}\n", run.stderr
    assert providers.seen == ({url: f"Bearer {key_of('xai')}".encode()} if answer == "200" else {})


def test_the_placeholder_of_one_provider_does_not_open_another(
    stage: AgentStage, providers: Providers
) -> None:
    keys = {variable: key_of(name) for name, (variable, _) in SERVICES.items()}
    script = 'ask "$MISTRAL_API_KEY" https://api.groq.com/openai/v1/chat/completions'
    run = inside(stage, script, *SERVICES, **keys)
    assert providers.seen == {}
    assert refused_by_proxy(run) == [("authentication_failed", "api.groq.com")]


@pytest.mark.parametrize("base", ["", "$ANTHROPIC_BASE_URL"], ids=["by its name", "by the base URL"])
@pytest.mark.parametrize("profile", ["default", "claude-code"])
def test_a_key_goes_to_the_gateway_that_a_person_names(
    stage: AgentStage, providers: Providers, profile: str, base: str
) -> None:
    """The profile has a service of its own for the same base URL, without a key, which gives way."""
    bearer = "Authorization: Bearer $ANTHROPIC_AUTH_TOKEN"
    script = f'curl -sS -d {{}} -H "{bearer}" {base or GATEWAY}/v1/messages'
    given = {"ANTHROPIC_BASE_URL": GATEWAY, "ANTHROPIC_AUTH_TOKEN": key_of("gateway")}
    run = inside(stage, script, f"anthropic-token={GATEWAY}", profile=profile, **given)
    assert (run.exit_code, run.stdout) == (0, "{}"), run.stderr
    sent = {GATEWAY.removeprefix("https://") + "/v1/messages": f"Bearer {key_of('gateway')}".encode()}
    assert providers.seen == sent


def test_a_key_goes_to_a_server_on_this_machine(stage: AgentStage, providers: Providers) -> None:
    """Unlike a connection of the command's own, which needs --open-port."""
    stage.nono("credential", "set", "openai", stdin=key_of("openai"))
    ask = 'curl -sS -d {} -H "Authorization: Bearer $OPENAI_API_KEY" '
    with upstream(providers) as server:
        own = f"http://127.0.0.1:{server.port}/v1"
        script = f'{ask} "$OPENAI_BASE_URL/models"; {ask} --noproxy "*" {own}/past'
        run = inside(stage, script, f"openai={own}", profile="aider", OPENAI_BASE_URL=own)
    assert run.stdout == "{}", run.stderr
    where = f"127.0.0.1:{server.port}/v1/models"
    assert providers.seen == {where: f"Bearer {key_of('openai')}".encode()}


@pytest.mark.parametrize(
    ("gateway", "through_the_proxy"),
    [("http://localhost:11434/v1", []), ("https://localhost:11434/v1", ["localhost"])],
    ids=["without TLS", "with TLS"],
)
def test_beside_a_key_for_this_machine_own_servers_are_reached_without_the_proxy(
    stage: AgentStage, gateway: str, through_the_proxy: list[str]
) -> None:
    """The proxy refuses them. Only a gateway with TLS is asked for through it, by its own name."""
    stage.nono("credential", "set", "openai", stdin=key_of("openai"))
    run = inside(stage, f"{SERVED} localhost 127.0.0.1", f"openai={gateway}", profile="aider")
    assert run.exit_code == 0, run.stderr
    names = ["localhost", "127.0.0.1"]
    assert run.stdout.split() == [name for name in names if name not in through_the_proxy]
    assert [host for _, host in refused_by_proxy(run)] == through_the_proxy


def test_another_programs_server_is_refused_beside_a_key_for_this_machine(
    stage: AgentStage, providers: Providers
) -> None:
    stage.nono("credential", "set", "openai", stdin=key_of("openai"))
    with upstream(providers) as server:
        script = f"curl -sS http://127.0.0.1:{server.port}/"
        run = inside(stage, script, "openai=http://127.0.0.1:11434/v1", profile="aider")
    assert (run.exit_code != 0, providers.seen) == (True, {})
    assert ("127.0.0.1", server.port) in run.denied_targets()


@pytest.mark.parametrize(
    ("service", "variable", "key"),
    [
        ("anthropic-token", "ANTHROPIC_BASE_URL", "ANTHROPIC_AUTH_TOKEN"),
        ("anthropic", "ANTHROPIC_BASE_URL", "ANTHROPIC_API_KEY"),
        ("groq", "GROQ_BASE_URL", "GROQ_API_KEY"),
        ("gitlab", "GITLAB_HOST", "GITLAB_TOKEN"),
    ],
)
def test_a_key_is_not_sent_past_the_gateway_of_the_environment(
    stage: AgentStage, providers: Providers, service: str, variable: str, key: str
) -> None:
    given = {variable: GATEWAY, key: key_of("gateway")}
    dry = stage.person([*NONO, "run", "--dry-run", "--credential", service, "--", "true"], environment=given)
    run = inside(stage, "true", service, **given)
    assert (run.exit_code, dry.returncode) == (1, 1)
    for said in (run.stderr, dry.stderr):
        assert f"{variable} of this environment is {GATEWAY}, and the key '{service}' would go to" in said
        assert f"hint: --credential {service}={GATEWAY} sends it there; env -u {variable} nono" in said
    assert providers.seen == {}


def test_a_dry_run_says_that_the_key_of_an_optional_service_would_be_refused(stage: AgentStage) -> None:
    dry_run = [*NONO, "run", "--dry-run", "--profile", "claude-code", "--", "true"]
    said = f"refused if there is a key 'anthropic': ANTHROPIC_BASE_URL of this environment is {GATEWAY}"
    elsewhere = {"ANTHROPIC_BASE_URL": GATEWAY}
    dry = stage.person(dry_run, environment=elsewhere)
    run = inside(stage, "true", profile="claude-code", **elsewhere, ANTHROPIC_API_KEY=key_of("anthropic"))
    assert (dry.returncode, said in dry.stderr) == (0, True), dry.stderr
    assert f"https://api.anthropic.com. --credential anthropic={GATEWAY} sends it there" in dry.stderr
    assert (run.exit_code, said.partition(": ")[2] in run.stderr) == (1, True), run.stderr
    assert "refused if" not in stage.person(dry_run).stderr


def test_an_address_that_may_hold_a_password_is_not_shown(stage: AgentStage) -> None:
    given = {"GROQ_BASE_URL": "https://me:canary-of-a-password@groq.example", "GROQ_API_KEY": key_of("groq")}
    run = inside(stage, "true", "groq", **given)
    assert run.exit_code == 1
    assert "GROQ_BASE_URL of this environment is another address, which no service can have" in run.stderr
    assert "canary-of" not in run.stderr


def test_a_gateway_without_a_key_is_left_to_the_command(stage: AgentStage) -> None:
    run = inside(stage, "echo $ANTHROPIC_BASE_URL", profile="claude-code", ANTHROPIC_BASE_URL=GATEWAY)
    assert (run.exit_code, run.stdout) == (0, f"{GATEWAY}\n"), run.stderr
