"""What the standard libraries of Go and Java make of the environment inside `nono run`."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from support import clients
from support.clients.intercepted import (
    KEY,
    OUTSIDE,
    SYSTEM_PATH,
    WITHOUT_TRUST,
    Intercepted,
    as_ordinary_user,
    reasons,
    with_key,
)
from support.clients.run import Stage
from support.nono_run import Ended
from support.running.builds import Builds
from support.servers.http1 import upstream

SOURCES = Path(clients.__file__).parent
# One request is not worth more: a JVM spends most of its time compiling, and threads wait for each other.
QUICK = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")


def build_go(program: Path) -> None:
    command = ["go", "build", "-o", str(program), str(SOURCES / "intercept_client.go")]
    subprocess.run(command, check=True, timeout=300, env={**os.environ, "GOTOOLCHAIN": "local"})


def build_java(classes: Path) -> None:
    quick = [f"-J{each}" for each in QUICK]
    command = ["javac", *quick, "-d", str(classes), str(SOURCES / "InterceptClient.java")]
    subprocess.run(command, check=True, timeout=120)


def compiled(language: str, project: Path, builds: Builds) -> list[str]:
    """Return the argv of the client, built outside the sandbox once for all tests, which takes long."""
    for tool in (language, "javac" if language == "java" else language):
        if shutil.which(tool, path=SYSTEM_PATH) is None:
            pytest.skip(f"{tool} is not installed")
    if language == "go":
        return [shutil.copy(builds.get("intercept_client", build_go), str(project / "client"))]
    classes = builds.get("intercept_client_java", build_java)
    shutil.copytree(classes, project / "classes", dirs_exist_ok=True)
    return ["java", *QUICK, "-cp", str(project / "classes"), "InterceptClient"]


# Go compiles net/http in half a minute of CPU time; gh, in test_intercepted_tools.py, is a Go program too.
each_language = pytest.mark.parametrize("language", [pytest.param("go", marks=pytest.mark.slow), "java"])


@dataclass(frozen=True)
class Scene:
    """A client, and the one service it needs."""

    argv: list[str]
    service: Intercepted

    def run(self, *prefix: str, authority: str = "", **more: Any) -> Ended:
        """prefix: a program that starts the client with another environment; authority: not the service's."""
        # In capitals: what is called localhost is reached past every proxy by Go.
        url = f"https://{(authority or self.service.authority).upper()}/v1"
        return self.service.run((*prefix, *self.argv, url), **more)


@pytest.fixture
def scene(made: Stage, language: str, builds: Builds) -> Iterator[Scene]:
    argv = compiled(language, made.project, builds)
    with upstream(tls=made.authority.server_context("localhost")) as server:
        yield Scene(argv, Intercepted(made, server, "service", "TOKEN"))


@as_ordinary_user
@each_language
def test_the_phantom_becomes_the_key_of_an_answered_call(scene: Scene) -> None:
    run = scene.run()
    assert (run.exit_code, run.stdout.strip()) == (0, "ok"), run.stderr
    assert scene.service.saw("authorization") == {(f"Bearer {KEY}".encode(),)}
    assert with_key(run) == ["/v1"]


@as_ordinary_user
@each_language
def test_with_a_key_of_its_own_nothing_goes_upstream(scene: Scene) -> None:
    run = scene.run("env", "TOKEN=made-up")
    assert run.exit_code == 1
    assert scene.service.requests == []
    assert reasons(run) == {"authentication_failed"}


@as_ordinary_user
@each_language
def test_on_a_path_that_is_not_allowed_nothing_goes_upstream(scene: Scene) -> None:
    run = scene.run(endpoint_rules=[{"method": "*", "path": "/other"}])
    assert run.exit_code == 1
    assert scene.service.requests == []
    assert reasons(run) == {"endpoint_policy"}


@as_ordinary_user
@each_language
def test_without_the_trust_variables_it_does_not_speak_to_nono(scene: Scene) -> None:
    login = "JAVA_TOOL_OPTIONS=-Djdk.http.auth.tunneling.disabledSchemes="  # or it could not ask the proxy
    run = scene.run(*WITHOUT_TRUST, login)
    assert run.exit_code == 1
    assert scene.service.connections == []
    assert reasons(run) == {"intercept_handshake_failed"}


@as_ordinary_user
@each_language
def test_a_host_that_is_not_granted_is_refused(scene: Scene) -> None:
    run = scene.run(authority=OUTSIDE)
    assert run.exit_code == 1
    assert scene.service.connections == []
    assert reasons(run) == {"host_denied"}
