"""nono under the seccomp profile of a container's engine: what it enforces there, and an agent at work."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.agents.stage import LOGIN, TASK
from support.hosted.container import TIMEOUT_S, Engine, engine
from support.models.anthropic import FakeAnthropic
from support.private_network import PRIVATE_ADDRESS, private_network
from support.servers.http1 import Authority, upstream

pytestmark = [pytest.mark.slow, pytest.mark.timeout(TIMEOUT_S)]
KEY = "canary-of-the-real-key"
ROOT = Path(__file__).parents[2]
ANYBODY = 4711  # has no entry in /etc/passwd
CONNECT = f"exec 3<>/dev/tcp/{PRIVATE_ADDRESS}/9"  # the container has no network


@dataclass(frozen=True)
class Mounted:
    """A project and a home of ANYBODY's on the host, as the container has them."""

    engine: Engine
    directory: Path

    @property
    def project(self) -> Path:
        return self.directory / "project"

    @property
    def home(self) -> Path:
        return self.directory / "home"

    @property
    def options(self) -> list[str]:
        return [f"--user={ANYBODY}", f"--volume={self.project}:/work", f"--volume={self.home}:/home/agent"]

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `nono run` in the container."""
        return self.engine.run("run", *arguments, options=self.options)


@pytest.fixture
def mounted() -> Iterator[Mounted]:
    if os.geteuid() != 0:
        pytest.skip("only root can give files to the user of the container")
    with tempfile.TemporaryDirectory(prefix="nono-container-", dir="/var/tmp") as name:
        directory = Path(name)
        directory.chmod(0o755)
        for each in ("project", "home", "home/.ssh", "home/.claude"):
            (directory / each).mkdir()
        for secret in ("home/.ssh/id", "home/.claude/.credentials.json"):
            (directory / secret).write_text(f"{LOGIN}\n")
        for path in (directory, *directory.rglob("*")):
            os.chown(path, ANYBODY, ANYBODY)
        yield Mounted(engine(), directory)


def checks(document: str) -> Mapping[str, Mapping[str, str]]:
    return {check["check"]: check for check in json.loads(document)["machine"]}


def test_nobody_is_root_in_the_image() -> None:
    done = engine().run("-u", options=["--entrypoint=id"])
    assert done.stdout == "1000\n"


def test_a_start_finds_the_file_of_bytecode_in_the_image() -> None:
    code = "from nono.bytecode import finder; finder.install(); import json; print(type(json.__loader__))"
    done = engine().run("-I", "-c", code, options=["--entrypoint=/opt/nono/bin/python3"])
    assert done.stdout.startswith("<class 'nono.bytecode.finder._Loader'>"), done.stderr


def test_the_doctor_finds_everything_but_namespaces() -> None:
    done = engine().run("doctor", "--json")
    found = checks(done.stdout)
    assert {name for name, check in found.items() if check["mark"] == "missing"} == set(), done.stdout
    assert found["seccomp listener"]["mark"] == "ok"
    assert "container" in found["namespaces"]["meaning"]


def test_the_remedy_that_the_doctor_names_brings_namespaces() -> None:
    podman = engine()
    if not podman.is_podman:
        pytest.skip("Docker's profile refuses unshare(2) as well")
    done = podman.run("doctor", "--json", options=["--security-opt=unmask=ALL"])
    assert checks(done.stdout)["namespaces"]["mark"] == "ok"


def test_a_command_may_write_what_was_granted(mounted: Mounted) -> None:
    done = mounted.run("--allow", ".", "--", "sh", "-c", "echo made > made")
    assert done.returncode == 0, done.stderr
    assert (mounted.project / "made").stat().st_uid == ANYBODY


@pytest.mark.parametrize("file", ["/home/agent/outside", "/tmp/../var/tmp/outside"])
def test_a_command_may_not_write_what_was_not_granted(mounted: Mounted, file: str) -> None:
    done = mounted.run("--allow", ".", "--", "sh", "-c", f"echo > {file}")
    assert done.returncode != 0
    assert not (mounted.home / "outside").exists()


def test_a_connection_past_the_proxy_is_refused(mounted: Mounted) -> None:
    done = mounted.run("--allow", ".", "--allow-domain", "example.com", "--", "bash", "-c", CONNECT)
    assert "Permission denied" in done.stderr
    logs = list((mounted.home / ".local/state/nono").rglob("audit-events.ndjson"))
    assert any('"deny"' in log.read_text() for log in logs)


def test_without_nono_the_same_connection_is_refused_by_nobody() -> None:
    done = engine().run("-c", CONNECT, options=["--entrypoint=bash"])
    assert "Network is unreachable" in done.stderr


def test_the_agent_of_the_image_works_with_a_key_that_it_never_holds(mounted: Mounted) -> None:
    if not mounted.engine.is_podman:
        pytest.skip("the network that the provider is in is this thread's, where docker starts nothing")
    api = FakeAnthropic(TASK)
    with private_network():
        authority = Authority(str(mounted.directory / "ca.pem"))
        with upstream(api, authority.server_context("api.anthropic.com"), (PRIVATE_ADDRESS, 443)) as provider:
            done = mounted.engine.run(
                *("run", "--profile", "claude-code", "--allow-cwd", "--"),
                *("claude", "--print", "Do it.", "--allowedTools", "Bash"),
                options=[
                    *mounted.options,
                    f"--add-host=api.anthropic.com:{PRIVATE_ADDRESS}",
                    f"--volume={mounted.directory}/ca.pem:/ca.pem:ro",
                    *("--env=SSL_CERT_FILE=/ca.pem", f"--env=ANTHROPIC_API_KEY={KEY}"),
                    *("--env=PROJECT=/work", "--env=LOGIN=.claude/.credentials.json"),
                ],
                image=f"{mounted.engine.image}-agent",
                network="host",
            )
    assert done.returncode == 0, done.stdout + done.stderr
    [told] = api.results
    assert "tried" in told
    assert "read" not in told
    assert (mounted.project / "made").read_text() == "made\n"
    assert not (mounted.home / "outside").exists()
    held = (mounted.project / "environment").read_text()
    assert "ANTHROPIC_API_KEY=" in held
    assert KEY not in held + done.stdout + done.stderr
    asked = [request for request in provider.requests if request.method == b"POST"]
    assert {value for request in asked for value in request.values(b"x-api-key")} == {KEY.encode()}


FEATURE = "/feature/install.sh"
INSTALL = "apt-get install -qq --yes --no-install-recommends ca-certificates python3-venv"


def feature(command: str, directory: Path = ROOT / "docker/feature") -> subprocess.CompletedProcess[str]:
    """Run a command as root where the feature's directory is /feature, in the base of the image."""
    own = engine()
    if own.base is None:
        pytest.skip("`make test-image` names the base")
    options = ["--user=0", "--entrypoint=sh", f"--volume={directory}:/feature:ro"]
    return own.run("-c", command, options=options, image=own.base, network="host")


@pytest.mark.parametrize("name", ["nono", "nono==0.2.0", "git+https://example.com/nono"])
def test_a_feature_that_is_given_a_name_installs_nothing(name: str) -> None:
    done = feature(f"PACKAGE='{name}' {FEATURE}")
    assert done.returncode == 1
    assert "lay a wheel beside this script" in done.stderr


def test_a_feature_says_what_is_missing_where_there_is_no_python() -> None:
    done = feature(f"PACKAGE=/nono.whl {FEATURE}")
    assert done.returncode == 1
    assert "nono needs Python 3.12 or newer" in done.stderr


def test_a_feature_installs_the_wheel_beside_it_for_every_user(tmp_path: Path) -> None:
    [wheel] = (ROOT / "dist/image").glob("nono-*.whl")
    directory = shutil.copytree(ROOT / "docker/feature", tmp_path / "nono")
    shutil.copy(wheel, directory)
    steps = ["apt-get update -qq >&2", f"{INSTALL} >&2", FEATURE]
    as_anybody = f"setpriv --reuid={ANYBODY} --clear-groups nono --version"
    done = feature(" && ".join([*steps, as_anybody]), directory)
    assert done.returncode == 0, done.stderr
    assert wheel.name.split("-")[1] in done.stdout
