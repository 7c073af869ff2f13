"""Real clients inside `nono run`: their phantom becomes the key upstream, and nothing else passes."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from nono.policy.builtin.shipped import network_policy
from support.clients import programs as client_programs
from support.clients.run import (
    PYTHON,
    Decision,
    Stage,
    let_through,
    refused_by_proxy,
    refused_connects,
    service,
    stage,
)
from support.models.chat import STREAMED, WHOLE, ModelProvider
from support.nono_run import Ended
from support.servers.http1 import HttpUpstream, Received, upstream

KEYS = {"REAL_OPENAI": "sk-canary-of-openai", "REAL_ANTHROPIC": "sk-ant-canary-of-anthropic"}
PROGRAMS = Path(client_programs.__file__)

CURL = r"""
ask() { curl -sSN --fail-with-body -H "Authorization: Bearer $OPENAI_API_KEY" "$@"; }
case $1 in
whole) ask -d '{}' "$OPENAI_BASE_URL/chat/completions" ;;
streamed)
    ask -d '{"stream": true}' "$OPENAI_BASE_URL/chat/completions" | {
        read -r first && ask "$OPENAI_BASE_URL/models" > models && echo "$first" && cat
    } ;;
esac > answer || { echo "refused $(cat answer)" >&2; exit 1; }
grep -o '"content": "[^"]*"' answer | cut -d '"' -f 4 | paste -s -d '|'
"""

NODE = r"""
const {OPENAI_BASE_URL: base, OPENAI_API_KEY: key} = process.env;
const headers = {Authorization: `Bearer ${key}`, 'Content-Type': 'application/json'};
const stream = process.argv[1] === 'streamed';
try {
    const response = await fetch(`${base}/chat/completions`,
        {method: 'POST', headers, body: JSON.stringify({stream})});
    if (!response.ok) throw new Error(`${response.status} ${await response.text()}`);
    let text = '', asked = false;
    for await (const piece of response.body.pipeThrough(new TextDecoderStream())) {
        text += piece;
        if (stream && !asked) asked = await (await fetch(`${base}/models`, {headers})).json();
    }
    console.log([...text.matchAll(/"content": "([^"]*)"/g)].map(match => match[1]).join('|'));
} catch (error) {
    console.error(`refused ${error.message} ${error.cause?.code}`);
    process.exit(1);
}
"""


@dataclass(frozen=True)
class Client:
    """A client, the service it is made for, and the variables it takes key and base URL from."""

    name: str
    service: str
    argv: tuple[str, ...]
    streams: bool = True
    forks: bool = False  # makes several attempts in one start
    tells_default: bool = False  # of its base URL

    @property
    def sdk(self) -> str:
        return self.name.partition("-")[0]

    @property
    def ways(self) -> tuple[str, ...]:
        ways = ("whole", "streamed") if self.streams else ("whole",)
        return (*ways, "default") if self.tells_default else ways

    @property
    def key_variable(self) -> str:
        return f"{self.service.upper()}_API_KEY"

    @property
    def other_key_variable(self) -> str:
        return "ANTHROPIC_API_KEY" if self.service == "openai" else "OPENAI_API_KEY"

    @property
    def base_url_variable(self) -> str:
        return f"{self.service.upper()}_BASE_URL"

    def __str__(self) -> str:
        return self.name

    def sees(self, request: Received) -> tuple[list[bytes], list[bytes]]:
        """(Authorization, X-Api-Key) of a request."""
        return request.values(b"authorization"), request.values(b"x-api-key")

    @property
    def injected(self) -> tuple[list[bytes], list[bytes]]:
        """What `sees` gives when the real key was injected, and it alone."""
        if self.service == "openai":
            return [f"Bearer {KEYS['REAL_OPENAI']}".encode()], []
        return [], [KEYS["REAL_ANTHROPIC"].encode()]


def python_client(
    name: str, service: str = "openai", *, streams: bool = True, tells_default: bool = False
) -> Client:
    return Client(name, service, (*PYTHON, str(PROGRAMS), name), streams, True, tells_default)


CLIENTS = [
    Client("curl", "openai", ("sh", "-c", CURL, "curl-client")),
    Client("node", "openai", ("node", "--input-type=module", "--eval", NODE)),
    # From this version on fetch obeys the proxy variables, and asks for a tunnel for plain http as well.
    Client("node24", "openai", ("node24", "--input-type=module", "--eval", NODE)),
    python_client("openai", tells_default=True),
    python_client("anthropic", "anthropic", tells_default=True),
    python_client("anthropic-bearer", "anthropic", streams=False),
    python_client("httpx"),
    python_client("requests"),
]
# One for each field of a key and each way to a base URL. Which keys pass is decided from the head alone
# (tests/unit/proxy/verdict/test_phantoms.py).
FEW = [client for client in CLIENTS if client.name in ("curl", "node24", "openai", "anthropic")]
# The others of a service's SDK go to a host by the same library.
BY_LIBRARY = [client for client in CLIENTS if client.name != "anthropic-bearer"]


@dataclass(frozen=True)
class Scene:
    """Two services at one upstream, and beside them a plain server that every run may reach."""

    stage: Stage
    provider: HttpUpstream
    elsewhere: HttpUpstream

    def run(self, client: Client, how: str, *prefix: str) -> Ended:
        """prefix: a program that starts the client with another environment."""
        if shutil.which(client.argv[0]) is None:
            pytest.skip(f"{client.argv[0]} is not installed")
        return self.nono(*prefix, *client.argv, how)

    def nono(self, *argv: str) -> Ended:
        port, authority = self.provider.port, self.stage.authority
        anthropic = {"inject_header": "x-api-key", "env_var": "ANTHROPIC_API_KEY"}
        network = {
            "allow_domain": [f"localhost:{self.elsewhere.port}"],
            "credentials": ["openai", "anthropic"],
            "custom_credentials": {
                "openai": service(port, "REAL_OPENAI", authority, base_path="/v1", env_var="OPENAI_API_KEY"),
                "anthropic": service(port, "REAL_ANTHROPIC", authority, **anthropic),
            },
        }
        return self.stage.nono(argv, network=network, environment=KEYS)


@pytest.fixture(scope="module")
def made() -> Iterator[Stage]:
    with stage() as made:
        yield made


@pytest.fixture
def scene(made: Stage) -> Iterator[Scene]:
    with scene_of(made) as scene:
        yield scene


@contextmanager
def scene_of(made: Stage) -> Iterator[Scene]:
    certified = made.authority.server_context("localhost")
    with upstream(ModelProvider(), certified) as provider, upstream() as elsewhere:
        yield Scene(made, provider, elsewhere)


# Of an answer: a streamed one asks for the models as well.
REQUESTS = {"whole": 1, "streamed": 2, "default": 0}


@dataclass(frozen=True)
class Answer:
    """What a client printed, and the requests that it took."""

    exit_code: int
    stdout: str
    seen: list[tuple[list[bytes], list[bytes]]]
    let_through: list[Decision]
    refused: list[Decision]
    run: Ended


def answer_of(scene: Scene, client: Client, how: str) -> Answer:
    run = scene.run(client, how)
    seen = [client.sees(request) for request in scene.provider.requests]
    return Answer(run.exit_code, run.stdout, seen, let_through(run), refused_by_proxy(run), run)


# By the name of an attempt: how it changes the variables of a client.
CHANGES: dict[str, Callable[[Client, Scene], dict[str, str]]] = {
    "wrong key": lambda client, _: {client.key_variable: "sk-made-up"},
    "missing key": lambda client, _: {client.key_variable: ""},
    "key of another service": lambda client, _: {client.key_variable: f"${client.other_key_variable}"},
    "other host": lambda client, scene: {
        client.base_url_variable: f"http://localhost:{scene.elsewhere.port}/v1"
    },
}


@dataclass(frozen=True)
class Attempt:
    """An attempt that has to fail, in a run whose servers are gone.

    arrived, let_through: Upstream, and by nono, in this and the other attempts, which have to fail too.
    """

    exit_code: int
    stderr: str
    refused: list[Decision]
    arrived: list[Received]
    let_through: list[Decision]
    run: Ended
    scene: Scene


def attempt_of(scene: Scene, client: Client, name: str) -> Attempt:
    ((variable, value),) = CHANGES[name](client, scene).items()
    run = scene.run(client, "whole", "sh", "-c", f'{variable}="{value}" exec "$@"', "sh")
    arrived = list(scene.provider.requests)
    return Attempt(run.exit_code, run.stderr, refused_by_proxy(run), arrived, let_through(run), run, scene)


class Outcomes:
    """The answers and attempts of each client: those with one SDK in one run, which imports it once."""

    def __init__(self, made: Stage) -> None:
        self._made = made
        self._answers: dict[tuple[Client, str], Answer] = {}
        self._attempts: dict[tuple[Client, str], Attempt] = {}

    def answer(self, client: Client, how: str) -> Answer:
        if (client, how) not in self._answers:
            with scene_of(self._made) as scene:
                if client.forks:
                    self._make(scene, client.sdk)
                else:
                    self._answers[client, how] = answer_of(scene, client, how)
        return self._answers[client, how]

    def attempt(self, client: Client, name: str) -> Attempt:
        if (client, name) not in self._attempts:
            with scene_of(self._made) as scene:
                if client.forks:
                    self._make(scene, client.sdk)
                else:
                    self._attempts[client, name] = attempt_of(scene, client, name)
        return self._attempts[client, name]

    def _make(self, scene: Scene, sdk: str) -> None:
        """Ask for all answers, then make the attempts of the first client, in forks of one process."""
        together = [each for each in CLIENTS if each.sdk == sdk and each.forks]
        first = together[0]
        asked = [(each, way) for each in together for way in each.ways]
        programs = [(f"{client} {how}", dict[str, str]()) for client, how in asked]
        programs += [(f"{first} whole", change(first, scene)) for change in CHANGES.values()]
        run = scene.nono(*first.argv, "each", json.dumps(programs))
        assert run.exit_code == 0, run
        ended = json.loads(run.stdout)
        requests, passed, refused = list(scene.provider.requests), let_through(run), refused_by_proxy(run)
        assert len(refused) == len(CHANGES), run  # none is of an answer
        for (client, how), (exit_code, stdout, _) in zip(asked, ended, strict=False):
            count = REQUESTS[how]
            seen = [client.sees(request) for request in requests[:count]]
            self._answers[client, how] = Answer(exit_code, stdout, seen, passed[:count], [], run)
            del requests[:count], passed[:count]
        attempts = zip(CHANGES, ended[len(asked) :], refused, strict=True)
        for name, (exit_code, _, stderr), decision in attempts:
            self._attempts[first, name] = Attempt(exit_code, stderr, [decision], requests, passed, run, scene)


@pytest.fixture(scope="module")
def outcomes(made: Stage) -> Outcomes:
    return Outcomes(made)


@pytest.mark.parametrize("client", CLIENTS, ids=str)
def test_the_phantom_becomes_the_key_of_an_answered_call(outcomes: Outcomes, client: Client) -> None:
    answer = outcomes.answer(client, "whole")
    assert (answer.exit_code, answer.stdout.strip()) == (0, WHOLE), answer.run
    assert answer.seen == [client.injected]
    assert answer.let_through == [("reverse", client.service)]
    assert answer.refused == []


@pytest.mark.parametrize("client", [client for client in CLIENTS if client.streams], ids=str)
def test_the_first_event_of_a_stream_arrives_before_the_last_is_sent(
    outcomes: Outcomes, client: Client
) -> None:
    answer = outcomes.answer(client, "streamed")
    assert (answer.exit_code, answer.stdout.strip()) == (0, STREAMED), answer.run
    assert answer.seen == [client.injected] * 2
    assert answer.let_through == [("reverse", client.service)] * 2
    assert answer.refused == []


@pytest.mark.parametrize("client", FEW, ids=str)
@pytest.mark.parametrize("key", ["wrong", "missing"])
def test_without_the_phantom_nothing_goes_upstream(outcomes: Outcomes, client: Client, key: str) -> None:
    attempt = outcomes.attempt(client, f"{key} key")
    assert attempt.exit_code == 1
    assert re.search("(refused|error:) 401", attempt.stderr)
    assert attempt.arrived == []
    assert attempt.refused == [("authentication_failed", client.service)]


@pytest.mark.parametrize("client", FEW, ids=str)
def test_the_phantom_of_another_service_is_refused(outcomes: Outcomes, client: Client) -> None:
    attempt = outcomes.attempt(client, "key of another service")
    assert attempt.exit_code == 1
    assert re.search("(refused|error:) 403", attempt.stderr)
    assert attempt.arrived == []
    assert attempt.refused == [("authentication_failed", client.service)]


@pytest.mark.parametrize("client", BY_LIBRARY, ids=str)
def test_the_phantom_does_not_leave_to_another_host(outcomes: Outcomes, client: Client) -> None:
    """The host is one the run may reach, so it is the phantom and not the host that is refused."""
    attempt = outcomes.attempt(client, "other host")
    elsewhere = attempt.scene.elsewhere
    assert attempt.exit_code == 1
    assert elsewhere.requests == []
    assert b"".join(each.raw for each in elsewhere.connections) == b""
    if client.name == "node24":  # it asks for a tunnel, in which plain http is nothing that passes
        assert attempt.let_through == [("connect", "localhost")]
        assert attempt.refused == [("host_denied", "localhost")]
        return
    assert elsewhere.connections == []
    assert attempt.let_through == []
    refused = refused_connects(attempt.run)
    if client.name == "node" and refused:  # before Node 24 fetch goes past the proxy, and the kernel refuses
        assert refused <= {("127.0.0.1", elsewhere.port), ("::1", elsewhere.port)}
    else:
        assert attempt.refused == [("authentication_failed", "localhost")]


def test_the_other_host_can_be_reached_without_the_phantom(scene: Scene) -> None:
    url = f"http://localhost:{scene.elsewhere.port}/"
    run = scene.nono("curl", "-sS", url)
    assert (run.exit_code, run.stdout) == (0, "ok"), run
    assert len(scene.elsewhere.requests) == 1


@pytest.mark.parametrize("client", [client for client in CLIENTS if client.tells_default], ids=str)
def test_a_built_in_route_stands_for_the_base_url_of_its_sdk(outcomes: Outcomes, client: Client) -> None:
    """With or without /v1: what an SDK appends to its own default, it appends to the route."""
    answer = outcomes.answer(client, "default")
    assert answer.stdout.strip().rstrip("/") == network_policy().services[client.service]["upstream"]


def test_the_environment_inside_holds_no_key(scene: Scene) -> None:
    run = scene.nono("sh", "-c", 'env; tr "\\0" "\\n" < /proc/self/environ')
    assert "OPENAI_API_KEY=sk-" in run.stdout
    assert "ANTHROPIC_API_KEY=sk-ant-" in run.stdout
    assert "canary" not in run.stdout


def test_there_is_no_tunnel_to_the_host_of_a_service(scene: Scene) -> None:
    """Through it a client could speak to the provider without the route that checks what it sends."""
    url = f"https://localhost:{scene.provider.port}/v1/models"
    run = scene.nono("curl", "-sS", "--cacert", str(scene.stage.runner.trusted), url)
    assert run.exit_code != 0
    assert scene.provider.requests == []
    assert ("intercept_handshake_failed", "localhost") in refused_by_proxy(run)
