"""git, gh and package managers inside `nono run`, at their server's own URL: their TLS ends in nono."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from ssl import SSLContext
from sysconfig import get_path
from typing import Any

import pytest

from support.clients.intercepted import (
    KEY,
    OUTSIDE,
    SYSTEM_PATH,
    WITHOUT_TRUST,
    Intercepted,
    as_ordinary_user,
    by_user,
    reasons,
    with_key,
)
from support.clients.run import Stage
from support.nono_run import Ended
from support.servers.git import ENVIRONMENT, REPOSITORY, git_server
from support.servers.http1 import HttpUpstream, Received, upstream
from support.servers.package_indexes import (
    MARK,
    NPM_PACKAGE,
    PACKAGE,
    Index,
    Pages,
    basic,
    cargo_pages,
    npm_pages,
    python_pages,
)

BASIC = {"inject_mode": "basic_auth"}
BASIC_KEY = f"x-access-token:{KEY}"
BIN = Path(sys.prefix, "bin")
PACKAGES = get_path("purelib")

# Each script runs in an empty directory, with the variables AUTHORITY and TOKEN.
CLONE = f"""
git clone -q "https://x:$TOKEN@$AUTHORITY/{REPOSITORY}" cloned && cat cloned/README
"""
PUSH = rf"""
helper='!f() {{ echo username=x; echo "password=$TOKEN"; }}; f'
git -c "credential.helper=$helper" clone -q "https://$AUTHORITY/{REPOSITORY}" cloned && cd cloned &&
    date +%N > new && git add new && git commit -qm new &&
    git -c "credential.helper=$helper" push -q origin HEAD:refs/heads/new && cat README
"""
# With a dot at the end of the name: Go's clients go past every proxy to what is called localhost.
GH = """
export GH_HOST="${AUTHORITY%:*}.:${AUTHORITY##*:}" GH_ENTERPRISE_TOKEN="$TOKEN"
gh auth status >&2 && gh api user --jq .login
"""
# Without site, which would look into the checkout that the environment is installed from.
WGET = """
wget -q -O user --header "Authorization: token $TOKEN" "https://$AUTHORITY/user" && grep -o canary user
"""
PIP = f"""
PIP_INDEX_URL="https://x:$TOKEN@$AUTHORITY/simple/" PYTHONPATH={PACKAGES} {BIN}/python -S -m pip install \
    --quiet --disable-pip-version-check --no-cache-dir --no-compile --retries 0 --target . {PACKAGE} &&
    {BIN}/python -c 'import tiny_canary; print(tiny_canary.MARK)'
"""
UV = f"""
UV_DEFAULT_INDEX="https://x:$TOKEN@$AUTHORITY/simple/" UV_HTTP_RETRIES=0 {BIN}/uv pip install \
    --quiet --no-cache --no-config --python {BIN}/python --target . {PACKAGE} &&
    {BIN}/python -c 'import tiny_canary; print(tiny_canary.MARK)'
"""
NPM = rf"""
printf '@canary:registry=https://%s/\n//%s/:_authToken=${{TOKEN}}\n' "$AUTHORITY" "$AUTHORITY" > .npmrc
echo '{{}}' > package.json
npm install --no-audit --no-fund --no-update-notifier --fetch-retries=0 --cache=cache {NPM_PACKAGE} >&2 &&
    node -p 'require("{NPM_PACKAGE}")'
"""
CARGO = rf"""
export CARGO_HOME="$PWD/home" CARGO_NET_RETRY=0 CARGO_REGISTRIES_PRIVATE_CREDENTIAL_PROVIDER=cargo:token
export CARGO_REGISTRIES_PRIVATE_TOKEN="$TOKEN" CARGO_REGISTRIES_PRIVATE_INDEX="sparse+https://$AUTHORITY/index/"
mkdir src && touch src/lib.rs
printf '[package]\nname = "user"\nversion = "0.0.0"\n[dependencies]\n' > Cargo.toml
echo '{PACKAGE} = {{ version = "1", registry = "private" }}' >> Cargo.toml
/usr/bin/cargo fetch -q && cat home/registry/src/*/*/src/lib.rs | cut -d '"' -f 2
"""


Server = Callable[[Path, SSLContext], AbstractContextManager[HttpUpstream]]


@contextmanager
def repository(directory: Path, tls: SSLContext) -> Iterator[HttpUpstream]:
    with git_server(directory, tls, required=basic(BASIC_KEY)) as server:
        yield server.upstream


def index(pages: Callable[[str], Pages], authorization: str) -> Server:
    return lambda _, tls: upstream(Index(pages, authorization), tls)


def github(_: Path, tls: SSLContext) -> AbstractContextManager[HttpUpstream]:
    return upstream(answer_gh, tls)


def answer_gh(request: Received) -> None:
    """Answer as much of the API as gh asks to check its token and to learn who it is."""
    request.read_body()
    fields = [("Content-Type", "application/json"), ("X-OAuth-Scopes", "repo, read:org, gist")]
    request.connection.respond(body=b'{"login": "canary", "data": {}}', fields=fields)


@dataclass(frozen=True)
class Tool:
    """A program and its server. sees: the Authorization field of every request that arrives there."""

    name: str
    script: str
    server: Server
    sees: str
    prints: str = MARK
    service: str = "index"
    entry: Mapping[str, str] = field(default_factory=dict)
    key: str = KEY
    program: str | None = None  # None: called as the tool

    def __str__(self) -> str:
        return self.name


GIT = Tool(
    "git with the key in the URL",
    CLONE,
    repository,
    basic(BASIC_KEY),
    prints="hello",
    service="github",
    entry=BASIC,
    key=BASIC_KEY,
    program="git",
)
GH_TOOL = Tool("gh", GH, github, f"token {KEY}", "canary", "github", {"credential_format": "token {}"})
WGET_TOOL = Tool(
    "wget",
    WGET,
    github,
    f"token {KEY}",
    "canary",
    entry={"credential_format": "token {}"},
)
NPM_TOOL = Tool("npm", NPM, index(npm_pages, f"Bearer {KEY}"), f"Bearer {KEY}")
CARGO_TOOL = Tool("cargo", CARGO, index(cargo_pages, KEY), KEY, entry={"credential_format": "{}"})
WITH_HELPER = replace(GIT, name="git with a credential helper", script=PUSH)
TOOLS = [
    GIT,
    WITH_HELPER,
    GH_TOOL,
    WGET_TOOL,
    Tool("pip", PIP, index(python_pages, basic(BASIC_KEY)), basic(BASIC_KEY), entry=BASIC, key=BASIC_KEY),
    Tool("uv", UV, index(python_pages, basic(BASIC_KEY)), basic(BASIC_KEY), entry=BASIC, key=BASIC_KEY),
    NPM_TOOL,
    CARGO_TOOL,
]


def each_tool(*daily: Tool) -> pytest.MarkDecorator:
    """Try every tool; those beside `daily` differ from one of them in nothing that matters, and are slow."""
    tools = [
        pytest.param(tool, id=str(tool), marks=() if tool in daily else pytest.mark.slow) for tool in TOOLS
    ]
    return pytest.mark.parametrize("tool", tools)


# One for each form of a key. Which keys pass is decided from the head alone (tests/unit/proxy/verdict).
BY_FORM = [GIT, GH_TOOL, NPM_TOOL, CARGO_TOOL]
# One for each library of TLS.
BY_LIBRARY = [tool for tool in TOOLS if tool != WITH_HELPER]
FEW_TOOLS = [GIT, GH_TOOL, CARGO_TOOL]
few_tools = pytest.mark.parametrize("tool", FEW_TOOLS, ids=str)


@dataclass(frozen=True)
class Scene:
    """A tool, and the one service it needs."""

    tool: Tool
    service: Intercepted

    def run(self, *prefix: str, authority: str = "", **more: Any) -> Ended:
        """prefix: a program that starts the script with another environment; authority: not the service's."""
        script = 'cd "$(mktemp -d -p .)" && export TMPDIR="$PWD" && ' + self.tool.script.strip()
        environment = {
            **ENVIRONMENT,
            "AUTHORITY": authority or self.service.authority,
            "PATH": SYSTEM_PATH,
        }
        return self.service.run((*prefix, "sh", "-c", script), environment=environment, **more)


@pytest.fixture
def scene(made: Stage, tool: Tool, tmp_path: Path) -> Iterator[Scene]:
    program = tool.program or tool.name
    if shutil.which(program, path=f"{SYSTEM_PATH}:{BIN}") is None:
        pytest.skip(f"{program} is not installed")
    with tool.server(tmp_path, made.authority.server_context("localhost")) as server:
        yield Scene(tool, Intercepted(made, server, tool.service, "TOKEN", tool.entry, tool.key))


@by_user("tool", TOOLS, FEW_TOOLS)
def test_the_phantom_of_a_tool_becomes_the_key(scene: Scene) -> None:
    run = scene.run()
    assert (run.exit_code, run.stdout.strip()) == (0, scene.tool.prints), run.stderr
    assert scene.service.saw("authorization") == {(scene.tool.sees.encode(),)}
    assert len(with_key(run)) == len(scene.service.requests)


@as_ordinary_user
@each_tool(*BY_FORM)
def test_with_a_key_of_its_own_nothing_goes_upstream(scene: Scene) -> None:
    run = scene.run("env", "TOKEN=ghp_made_up")
    assert run.exit_code != 0
    assert scene.service.requests == []
    assert with_key(run) == []
    assert reasons(run) == {"authentication_failed"}


@as_ordinary_user
@few_tools
def test_on_a_path_that_is_not_allowed_nothing_goes_upstream(scene: Scene) -> None:
    run = scene.run(endpoint_rules=[{"method": "*", "path": "/other"}])
    assert run.exit_code != 0
    assert scene.service.requests == []
    assert with_key(run) == []
    assert "endpoint_policy" in reasons(run)


@as_ordinary_user
@pytest.mark.parametrize("tool", [NPM_TOOL], ids=str)
def test_a_slash_that_is_encoded_is_refused_where_paths_have_rules(scene: Scene) -> None:
    """So npm asks for a scoped package; without rules it does not matter what the server makes of it."""
    run = scene.run(endpoint_rules=[{"method": "*", "path": "/**"}])
    assert run.exit_code != 0
    assert scene.service.requests == []
    assert "%2F" in run.denied[-1]["reason"]


@as_ordinary_user
@each_tool(*BY_LIBRARY)
def test_without_the_trust_variables_it_does_not_speak_to_nono(scene: Scene) -> None:
    run = scene.run(*WITHOUT_TRUST)
    assert run.exit_code != 0
    assert scene.service.connections == []
    assert "intercept_handshake_failed" in reasons(run)


@as_ordinary_user
@few_tools
def test_a_host_that_is_not_granted_is_refused(scene: Scene) -> None:
    run = scene.run(authority=OUTSIDE)
    assert run.exit_code != 0
    assert scene.service.connections == []
    assert "host_denied" in reasons(run)
