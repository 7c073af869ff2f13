"""git over https inside `nono run`: through a tunnel to a host that is granted, and by a credential route."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.test_documents import blocks
from support.clients.run import Stage, let_through, refused_by_proxy, refused_connects, service, stage
from support.nono_run import Ended
from support.servers.git import ENVIRONMENT, REPOSITORY, GitServer, git, git_server
from support.servers.package_indexes import basic

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")

KEY = "ghp_canary_of_github"
AUTHORIZATION = f"token {KEY}"
BASIC_KEY = f"oauth2:{KEY}"
CLONED = "cloned"


@pytest.fixture
def made() -> Iterator[Stage]:
    with stage() as made:
        yield made


@pytest.fixture
def server(made: Stage, tmp_path: Path) -> Iterator[GitServer]:
    with git_server(tmp_path, made.authority.server_context("localhost")) as server:
        yield server


def tunnelled(made: Stage, allowed: str, *argv: str) -> Ended:
    """Run argv in the project, with one host granted."""
    environment = ENVIRONMENT | {"GIT_SSL_CAINFO": made.authority.ca_file}
    return made.nono(argv, network={"allow_domain": [allowed]}, environment=environment)


def granted(server: GitServer) -> str:
    return f"localhost:{server.upstream.port}"


def clone(made: Stage, server: GitServer, allowed: str) -> Ended:
    return tunnelled(made, allowed, "git", "clone", server.url, CLONED)


def push(made: Stage, server: GitServer, name: str, make: str) -> Ended:
    """make: the shell command whose output becomes the file name of a new commit."""
    script = f"cd {CLONED} && {make} > {name} && git add {name} && git commit -qm {name} && git push -q"
    return tunnelled(made, granted(server), "sh", "-c", script)


def test_git_works_through_a_tunnel_to_a_granted_host(made: Stage, server: GitServer) -> None:
    cloned = clone(made, server, granted(server))
    assert cloned.exit_code == 0, cloned.stderr
    assert (made.project / CLONED / "README").read_text() == "hello\n"
    assert set(let_through(cloned)) == {("connect", "localhost")}

    server.repository.commit("NEWS", "fresh\n")
    pulled = tunnelled(made, granted(server), "git", "-C", CLONED, "pull", "--quiet")
    assert pulled.exit_code == 0, pulled.stderr
    assert (made.project / CLONED / "NEWS").read_text() == "fresh\n"

    pushed = push(made, server, "MINE", "echo mine")
    assert pushed.exit_code == 0, pushed.stderr
    assert git("show", "main:MINE", cwd=server.repository.path) == "mine"


def test_a_push_of_many_megabytes_arrives_whole(made: Stage, server: GitServer) -> None:
    """Beyond http.postBuffer, 1 MiB, git sends the pack in chunks."""
    assert clone(made, server, granted(server)).exit_code == 0
    pushed = push(made, server, "BIG", "head -c 8000000 /dev/urandom")
    assert pushed.exit_code == 0, pushed.stderr
    assert b"chunked" in [request.value(b"transfer-encoding") for request in server.upstream.requests]
    sent = git("hash-object", str(made.project / CLONED / "BIG"), cwd=server.repository.path)
    assert git("rev-parse", "main:BIG", cwd=server.repository.path) == sent


def test_git_is_not_asked_for_the_session_token(made: Stage, server: GitServer) -> None:
    """It sends what the proxy's URL holds only to a proxy that asked (407)."""
    cloned = clone(made, server, granted(server))
    assert cloned.exit_code == 0, cloned.stderr
    assert refused_by_proxy(cloned) == []
    assert let_through(cloned) == [("connect", "localhost")]


def test_a_host_that_is_not_granted_is_refused_with_the_reason(made: Stage, server: GitServer) -> None:
    refused = clone(made, server, "localhost:1")  # the right host on the wrong port
    assert refused.exit_code == 128
    assert "403" in refused.stderr
    assert server.upstream.connections == []
    assert ("host_denied", "localhost") in refused_by_proxy(refused)
    assert let_through(refused) == []


def test_with_another_token_there_is_no_tunnel(made: Stage, server: GitServer) -> None:
    script = (
        'git -c http.proxy="http://nono:wrong@${HTTPS_PROXY#*@}" -c http.proxyAuthMethod=basic '
        'clone "$0" cloned'
    )
    refused = tunnelled(made, granted(server), "sh", "-c", script, server.url)
    assert refused.exit_code == 128
    assert server.upstream.connections == []
    assert set(refused_by_proxy(refused)) == {("authentication_failed", "localhost")}
    assert let_through(refused) == []


def test_past_the_proxy_there_is_no_way(made: Stage, server: GitServer) -> None:
    refused = tunnelled(made, granted(server), "git", "-c", "http.proxy=", "clone", server.url, CLONED)
    assert refused.exit_code == 128
    assert server.upstream.connections == []
    assert ("127.0.0.1", server.upstream.port) in refused_connects(refused)


@pytest.fixture
def closed_server(made: Stage, tmp_path: Path) -> Iterator[GitServer]:
    """Yield a server that answers only requests with the real key."""
    certified = made.authority.server_context("localhost")
    with git_server(tmp_path, certified, required=AUTHORIZATION) as server:
        yield server


def by_route(made: Stage, server: GitServer, script: str) -> Ended:
    """Return a shell script whose $url is the repository on the route of the service github."""
    more = {"env_var": "GITHUB_TOKEN", "credential_format": "token {}"}
    github = service(server.upstream.port, "REAL_GITHUB", made.authority, **more)
    network = {"credentials": ["github"], "custom_credentials": {"github": github}}
    argv = ("sh", "-c", f"url=$GITHUB_BASE_URL/{REPOSITORY}; {script}")
    return made.nono(argv, network=network, environment=ENVIRONMENT | {"REAL_GITHUB": KEY})


def assert_the_key_came_alone(server: GitServer) -> None:
    fields = [request.values(b"authorization") for request in server.upstream.requests]
    assert fields == [[AUTHORIZATION.encode()]] * len(fields)
    assert fields


def test_a_clone_by_the_credential_route_carries_the_key(made: Stage, closed_server: GitServer) -> None:
    field = 'http.extraHeader="Authorization: token $GITHUB_TOKEN"'
    cloned = by_route(made, closed_server, f"git -c {field} clone $url cloned")
    assert cloned.exit_code == 0, cloned.stderr
    assert (made.project / CLONED / "README").read_text() == "hello\n"
    assert_the_key_came_alone(closed_server)
    assert KEY not in cloned.stdout + cloned.stderr


def test_a_clone_by_the_credential_route_without_the_phantom_is_refused(
    made: Stage, closed_server: GitServer
) -> None:
    refused = by_route(made, closed_server, "git clone $url cloned")
    assert refused.exit_code == 128
    assert closed_server.upstream.connections == []
    assert set(refused_by_proxy(refused)) == {("authentication_failed", "github")}


def test_a_phantom_in_the_userinfo_of_the_url_becomes_the_key(made: Stage, closed_server: GitServer) -> None:
    """git keeps it back until a 401 asks for Basic."""
    script = 'git clone "http://x-access-token:$GITHUB_TOKEN@${url#*//}" cloned'
    cloned = by_route(made, closed_server, script)
    assert cloned.exit_code == 0, cloned.stderr
    assert_the_key_came_alone(closed_server)


@pytest.fixture
def basic_server(tmp_path: Path, made: Stage) -> Iterator[GitServer]:
    tls = made.authority.server_context("localhost")
    with git_server(tmp_path, tls, required=basic(BASIC_KEY)) as server:
        yield server


def with_the_profile_of_the_page(made: Stage, server: GitServer, script: str, **laid_over: object) -> Ended:
    """Run `script` under the profile of docs/agents.md for git over https, with this server for its host."""
    host = f"https://localhost:{server.upstream.port}"
    [text] = [block for block in blocks("docs/agents.md", "json") if "git-gitlab" in block]
    profile = json.loads(text.replace("https://gitlab.com", host))
    profile["network"]["allow_domain"] = [granted(server)]
    entry = profile["network"]["custom_credentials"]["git-gitlab"]
    entry |= {"credential_key": "env://REAL_KEY", "tls_ca": made.authority.ca_file, **laid_over}
    return made.runner.run(
        ("sh", "-c", f"url={host}/{REPOSITORY}; {script}"),
        profile=profile,
        environment=ENVIRONMENT | {"REAL_KEY": KEY},
    )


def test_git_pulls_and_pushes_over_https_with_a_key_that_is_not_inside(
    made: Stage, basic_server: GitServer
) -> None:
    script = (
        "git clone -q $url cloned && cd cloned && git commit -q --allow-empty -m new && git push -q && env"
    )
    run = with_the_profile_of_the_page(made, basic_server, script)
    assert run.exit_code == 0, run.stderr
    assert basic_server.repository.head == git("rev-parse", "HEAD", cwd=made.project / CLONED)
    assert KEY not in run.stdout + run.stderr


def test_git_over_https_stays_within_the_rules_of_its_entry(made: Stage, basic_server: GitServer) -> None:
    rules = [{"method": "*", "path": "/another.git/**"}]
    run = with_the_profile_of_the_page(made, basic_server, "git clone -q $url cloned", endpoint_rules=rules)
    assert run.exit_code == 128
    assert basic_server.upstream.requests == []
    assert {category for category, _ in refused_by_proxy(run)} == {"endpoint_policy"}
