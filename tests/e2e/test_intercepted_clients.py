"""HTTP libraries and SDKs inside `nono run` at the provider's own URL: their TLS ends in nono."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from support.clients import intercept_programs
from support.clients import programs as client_programs
from support.clients.intercepted import (
    KEY,
    OUTSIDE,
    WITHOUT_TRUST,
    Intercepted,
    as_ordinary_user,
    by_user,
    reasons,
    with_key,
)
from support.clients.run import PYTHON, Stage
from support.models.all_formats import Provider
from support.models.chat import STREAMED, WHOLE
from support.nono_run import Ended
from support.servers.http1 import upstream

CURL = r"""
curl -sSN --http1.1 --fail-with-body -H "Authorization: Bearer $OPENAI_API_KEY" -d '{}' \
    "$OPENAI_BASE_URL/chat/completions" > answer || { echo "refused $(cat answer)" >&2; exit 1; }
grep -o '"content": "[^"]*"' answer | cut -d '"' -f 4
"""

# What Node's own fetch is made of; before Node 24 that does not look at the environment.
NODE = r"""
const {OPENAI_BASE_URL: base, OPENAI_API_KEY: key} = process.env;
const headers = {Authorization: `Bearer ${key}`, 'Content-Type': 'application/json'};
const ask = async stream => {
    const response = await fetch(`${base}/chat/completions`,
        {method: 'POST', headers, body: JSON.stringify({stream})});
    if (!response.ok) throw new Error(`${response.status} ${await response.text()}`);
    let text = '', asked = false;
    for await (const piece of response.body.pipeThrough(new TextDecoderStream())) {
        text += piece;
        if (stream && !asked) asked = await (await fetch(`${base}/models`, {headers})).json();
    }
    console.log([...text.matchAll(/"content": "([^"]*)"/g)].map(match => match[1]).join('|'));
};
(async () => {
    for (const how of process.argv.slice(1)) await ask(how === 'streamed');
})().catch(error => {
    console.error(`refused ${error.message} ${error.cause?.message}`);
    process.exitCode = 1;
});
"""
UNDICI = "const {fetch, EnvHttpProxyAgent, setGlobalDispatcher} = require('undici');"
UNDICI += "setGlobalDispatcher(new EnvHttpProxyAgent());"

# Debian's is too old for a fetch that takes a proxy from the environment; .ci/run puts a newer one beside it.
NEW_NODE = shutil.which("node24") or "node"
NODE_MODULES = "/usr/share/nodejs"  # where Debian has them

SERVICES: dict[str, dict[str, object]] = {
    "openai": {},
    "anthropic": {"inject_header": "x-api-key"},
    "gemini": {"inject_header": "x-goog-api-key"},
}
INJECTED = {
    "openai": ("authorization", f"Bearer {KEY}"),
    "anthropic": ("x-api-key", KEY),
    "gemini": ("x-goog-api-key", KEY),
}


@dataclass(frozen=True)
class Client:
    """A client, and the service whose variables it reads."""

    name: str
    argv: tuple[str, ...]
    service: str = "openai"
    streams: bool = True
    retries: bool = False  # what looks like a broken line is tried again, after seconds

    def __str__(self) -> str:
        return self.name

    @property
    def ways(self) -> tuple[str, ...]:
        return ("whole", "streamed") if self.streams else ("whole",)

    @property
    def key_variable(self) -> str:
        return f"{self.service.upper()}_API_KEY"

    @property
    def base_url(self) -> tuple[str, str]:
        """The variable, and what stands there behind the origin."""
        if self.service == "gemini":
            return "GOOGLE_GEMINI_BASE_URL", ""
        return f"{self.service.upper()}_BASE_URL", "/v1" if self.service == "openai" else ""


def python_client(name: str, service: str = "openai", *, retries: bool = False) -> Client:
    return Client(name, (*PYTHON, client_programs.__file__, name), service, retries=retries)


def other_python_client(name: str, service: str = "openai", *, streams: bool = True) -> Client:
    return Client(name, (*PYTHON, intercept_programs.__file__, name), service, streams)


CLIENTS = [
    Client("curl", ("sh", "-c", CURL, "curl-client"), streams=False),
    Client("fetch", (NEW_NODE, "--eval", NODE)),
    Client("undici", ("node", "--eval", UNDICI + NODE)),
    python_client("requests"),
    python_client("httpx"),
    other_python_client("aiohttp"),
    other_python_client("websockets", streams=False),
    python_client("openai", retries=True),
    python_client("anthropic", "anthropic", retries=True),
    other_python_client("google-genai", "gemini"),
]
STREAMING = [client for client in CLIENTS if client.streams]
IMPATIENT = [client for client in CLIENTS if not client.retries]
FEW = [client for client in CLIENTS if client.name in ("curl", "undici", "aiohttp", "websockets")]


def curl_with(field: str, service: str, variables: str) -> Client:
    """Return curl with the key in the field that an SDK uses, which would take seconds to import."""
    request = f'-H "{field}: ${service.upper()}_API_KEY" -d "{{}}" "${variables}_BASE_URL/v1/messages"'
    return Client(f"curl-{field}", ("sh", "-c", f"curl -sS --http1.1 --fail {request} || exit 1"), service)


# One for each field of a key. Which keys pass is decided from the head alone (tests/unit/proxy/verdict).
BY_FIELD = [
    *FEW,
    curl_with("x-api-key", "anthropic", "ANTHROPIC"),
    curl_with("x-goog-api-key", "gemini", "GOOGLE_GEMINI"),
]


@cache
def node_version() -> tuple[int, ...]:
    printed = subprocess.run([NEW_NODE, "--version"], capture_output=True, text=True, check=True).stdout
    return tuple(map(int, printed.removeprefix("v").split(".")))


def skip_if_missing(client: Client) -> None:
    if shutil.which(client.argv[0]) is None:
        pytest.skip(f"{client.argv[0]} is not installed")
    if client.name == "fetch" and not ((22, 21) <= node_version() < (23,) or node_version() >= (24,)):
        pytest.skip("fetch takes a proxy from the environment in Node 22.21 and from Node 24 on")
    if client.name == "undici" and not Path(NODE_MODULES, "undici").exists():
        pytest.skip("node-undici is not installed")


@dataclass(frozen=True)
class Scene:
    """A client, and the one service it needs."""

    client: Client
    service: Intercepted

    def run(self, *prefix: str, authority: str = "", **more: Any) -> Ended:
        """Ask for a whole answer.

        prefix: a program that starts the client with another environment; authority: not the service's.
        """
        return self.ask(("whole",), prefix, authority, **more)

    def ask(
        self, ways: tuple[str, ...], prefix: tuple[str, ...] = (), authority: str = "", **more: Any
    ) -> Ended:
        name, path = self.client.base_url
        url = f"https://{authority or self.service.authority}{path}"
        start = ("env", f"{name}={url}", f"NODE_PATH={NODE_MODULES}", *prefix)
        return self.service.run((*start, *self.client.argv, *ways), **more)

    @property
    def saw_the_key_alone(self) -> bool:
        seen = [self.service.saw(name) for name in ("authorization", "x-api-key", "x-goog-api-key")]
        name, value = INJECTED[self.client.service]
        expected = {(value.encode(),)}
        return self.service.saw(name) == expected and seen.count({()}) == 2


@pytest.fixture
def scene(made: Stage, client: Client) -> Iterator[Scene]:
    with scene_of(made, client) as scene:
        yield scene


@contextmanager
def scene_of(made: Stage, client: Client) -> Iterator[Scene]:
    skip_if_missing(client)
    with upstream(Provider(), made.authority.server_context("localhost")) as provider:
        entry = SERVICES[client.service]
        yield Scene(client, Intercepted(made, provider, client.service, client.key_variable, entry))


REQUESTS = {"whole": 1, "streamed": 2}  # of an answer: a streamed one asks for the models as well


class Answered:
    """The run of each client in which it has asked in all its ways: an SDK is imported once for them."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, str], tuple[Ended, Scene]] = {}

    def of(self, client: Client, made: Stage) -> tuple[Ended, Scene]:
        known = made.runner.user.uid, client.name
        if known not in self._known:
            with scene_of(made, client) as scene:
                self._known[known] = scene.ask(client.ways), scene
        return self._known[known]


@pytest.fixture(scope="module")
def answered() -> Answered:
    """Return what outlives the stages: pytest makes that of a user anew after another's."""
    return Answered()


@by_user("client", CLIENTS, FEW)
def test_the_phantom_becomes_the_key_of_an_answered_call(
    answered: Answered, client: Client, made: Stage
) -> None:
    run, scene = answered.of(client, made)
    assert (run.exit_code, run.stdout.split("\n")[0]) == (0, WHOLE), run.stderr
    assert len(with_key(run)) == len(scene.service.requests) == sum(REQUESTS[way] for way in client.ways)
    assert scene.saw_the_key_alone
    assert reasons(run) <= {"authentication_failed"}, (
        run.denied
    )  # of the proxy: some clients wait to be asked


@as_ordinary_user
@pytest.mark.parametrize("client", STREAMING, ids=str)
def test_the_first_event_of_a_stream_arrives_before_the_last_is_sent(
    answered: Answered, client: Client, made: Stage
) -> None:
    run, scene = answered.of(client, made)
    assert (run.exit_code, run.stdout.split("\n")[1:]) == (0, [STREAMED, ""]), run.stderr
    assert len(scene.service.requests) == REQUESTS["whole"] + REQUESTS["streamed"]
    assert scene.saw_the_key_alone


@as_ordinary_user
@pytest.mark.parametrize("client", BY_FIELD, ids=str)
def test_with_a_key_of_its_own_nothing_goes_upstream(scene: Scene) -> None:
    run = scene.run("env", f"{scene.client.key_variable}=sk-made-up")
    assert run.exit_code == 1
    assert re.search(r"\b401\b", run.stderr), run.stderr
    assert scene.service.requests == []
    assert with_key(run) == []
    assert reasons(run) == {"authentication_failed"}


@as_ordinary_user
@pytest.mark.parametrize("client", FEW, ids=str)
def test_on_a_path_that_is_not_allowed_nothing_goes_upstream(scene: Scene) -> None:
    run = scene.run(endpoint_rules=[{"method": "*", "path": "/v1/other"}])
    assert run.exit_code == 1
    assert re.search(r"\b403\b", run.stderr), run.stderr
    assert scene.service.requests == []
    assert with_key(run) == []
    assert "endpoint_policy" in reasons(run)


@as_ordinary_user
@pytest.mark.parametrize("client", IMPATIENT, ids=str)
def test_without_the_trust_variables_it_does_not_speak_to_nono(scene: Scene) -> None:
    run = scene.run(*WITHOUT_TRUST)
    assert run.exit_code == 1
    assert scene.service.connections == []
    assert "intercept_handshake_failed" in reasons(run)


@as_ordinary_user
@pytest.mark.parametrize("client", FEW, ids=str)
def test_a_host_that_is_not_granted_is_refused(scene: Scene) -> None:
    run = scene.run(authority=OUTSIDE)
    assert run.exit_code == 1
    assert scene.service.connections == []
    assert "host_denied" in reasons(run)
