"""git over ssh inside `nono run`: by nono's ProxyCommand to a host that is granted, and to no other."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from nono import connect_helper
from support.clients.run import Stage, let_through, refused_by_proxy, stage
from support.nono_run import Ended
from support.running.needs import has_datagrams
from support.servers.connect_proxy import connect_proxy
from support.servers.git import ENVIRONMENT
from support.servers.sshd import SSHD, Sshd, sshd

pytestmark = pytest.mark.skipif(
    SSHD is None or shutil.which("git") is None or shutil.which("ssh") is None,
    reason="sshd, ssh or git is not installed",
)

HOST = "git.test"
# The person's key and known hosts; the rest of the command is nono's.
WITH_KEY = (
    'export GIT_SSH_COMMAND="$GIT_SSH_COMMAND -i $PWD/key -o UserKnownHostsFile=$PWD/known_hosts '
    '-o IdentitiesOnly=yes -o BatchMode=yes"; '
)
BY_ITSELF = (
    'by_itself="-i $PWD/key -o UserKnownHostsFile=$PWD/known_hosts -o IdentitiesOnly=yes -o BatchMode=yes"; '
)


@pytest.fixture(scope="module")
def made() -> Iterator[Stage]:
    with stage() as made:
        yield made


@pytest.fixture(scope="module")
def server(made: Stage) -> Iterator[Sshd]:
    directory = made.runner.user.home / "server"
    directory.mkdir(mode=0o700)
    made.runner.give(directory)
    with sshd(made.runner.user, directory) as server:
        for source, name in ((server.key, "key"), (server.known_hosts, "known_hosts")):
            target = made.project / name
            shutil.copy(source, target)
            target.chmod(0o600)
            made.runner.give(target)
        yield server


@pytest.fixture(autouse=True)
def no_clone_of_another_test(made: Stage) -> Iterator[None]:
    yield
    shutil.rmtree(made.project / "cloned", ignore_errors=True)


def inside(
    made: Stage,
    server: Sshd,
    script: str,
    network: Mapping[str, object],
    environment: Mapping[str, str] | None = None,
    sections: Mapping[str, object] | None = None,
) -> Ended:
    """Return a shell script in the project. sections: further sections of the profile."""
    return made.runner.run(
        ["sh", "-c", script],
        profile={"network": network, **(sections or {})},
        environment={**ENVIRONMENT, **(environment or {})},
        stage=server.stage,
    )


def clone_by_port_22(
    made: Stage,
    server: Sshd,
    allowed: Sequence[str],
    more: str = "",
    sections: Mapping[str, object] | None = None,
) -> tuple[Ended, list[str]]:
    """Clone git@host:path; port 22 of the host is the server's, which an upstream proxy knows."""
    with connect_proxy({f"{HOST}:22": server.port}) as behind:
        network = {"allow_domain": allowed, "upstream_proxy": f"127.0.0.1:{behind.port}"}
        script = f"{WITH_KEY}{more} git clone {server.user}@{HOST}:{server.repository} cloned"
        return inside(made, server, script, network, sections=sections), behind.targets


def readme(made: Stage) -> Path:
    return made.project / "cloned" / "README"


def test_git_clones_by_ssh_from_a_host_that_is_granted(made: Stage, server: Sshd) -> None:
    ended, targets = clone_by_port_22(made, server, [HOST])
    assert ended.exit_code == 0, ended.stderr
    assert readme(made).read_text() == "hello\n"
    assert targets == [f"{HOST}:22"]
    assert let_through(ended) == [("external", HOST)] * 2
    assert "SSH is spoken" in [event["reason"] for event in ended.allowed]


@pytest.mark.parametrize("allowed", [[HOST], ["other.test"]], ids=["granted", "not granted"])
@pytest.mark.parametrize(
    "command",
    [
        'sh -c "$GIT_SSH_COMMAND {host} cat {file}" > reached',
        'rsync -e "$GIT_SSH_COMMAND" {host}:{file} reached',
        "ssh $by_itself {host} cat {file} > reached",
        'rsync -e "ssh $by_itself" {host}:{file} reached',
        "scp -O $by_itself {host}:{file} reached",
    ],
    ids=["as git", "rsync as git", "ssh", "rsync", "scp"],
)
def test_ssh_rsync_and_scp_reach_a_granted_host(
    made: Stage, server: Sshd, command: str, allowed: Sequence[str]
) -> None:
    """By nono's ProxyCommand, as docs/troubleshooting.md says, or by a name that they look up themselves."""
    looks_up = "by_itself" in command
    if shutil.which(command.split()[0]) is None:
        pytest.skip("rsync is not installed")
    if looks_up and not has_datagrams(made.runner.user.uid):
        pytest.skip("no network of its own here")
    text = made.runner.user.home / "beyond"
    text.write_text("beyond\n")
    made.runner.give(text)
    command = command.format(host=f"{server.user}@{HOST}", file=text)
    with connect_proxy({f"{HOST}:22": server.port}) as behind:
        network = {"allow_domain": allowed, "upstream_proxy": f"127.0.0.1:{behind.port}"}
        ended = inside(made, server, f"rm -f reached; {WITH_KEY} {BY_ITSELF} {command}", network)
    is_granted = allowed == [HOST]
    assert (ended.exit_code == 0) is is_granted, ended.stderr
    reached = made.project / "reached"
    assert (reached.exists() and reached.read_text() == "beyond\n") is is_granted
    denied = {(event["denial_category"], event["target"]) for event in ended.denied}
    assert denied == (set() if is_granted else {("host_denied", HOST)})


@pytest.mark.parametrize("allowed", [["other.test"], ["other.test", f"{HOST}:443"]], ids=["host", "port"])
def test_a_host_or_port_that_is_not_granted_is_refused_with_the_reason(
    made: Stage, server: Sshd, allowed: Sequence[str]
) -> None:
    ended, targets = clone_by_port_22(made, server, allowed)
    assert ended.exit_code == 128
    assert f"no tunnel to {HOST}:22: 403 Forbidden: host {HOST} is not in the allowlist" in ended.stderr
    assert targets == []
    assert refused_by_proxy(ended) == [("host_denied", HOST)]
    assert not readme(made).exists()


def test_git_clones_by_ssh_from_a_host_where_logins_get_their_tokens(made: Stage, server: Sshd) -> None:
    """As github.com is both."""
    endpoint = {"host": f"https://{HOST}", "path": "/token", "response_fields": [{"path": "access_token"}]}
    provider = {"type": "oauth_capture", "token_endpoints": [endpoint], "api_hosts": ["https://api.test"]}
    sections = {
        "credential_providers": {"p": provider},
        "credential_routes": [{"name": "p", "provider": "p"}],
    }
    ended, targets = clone_by_port_22(made, server, [HOST], sections=sections)
    assert ended.exit_code == 0, ended.stderr
    assert targets == [f"{HOST}:22"]
    assert "SSH is spoken" in [event["reason"] for event in ended.allowed]


# As docs/troubleshooting.md says; what is in the variable is for ssh to the jump host then.
BY_JUMP = (
    f"{WITH_KEY} by=$(printf %s \"$GIT_SSH_COMMAND\" | sed 's/%/%%/g'); "
    'export GIT_SSH_COMMAND="ssh -o \\"ProxyCommand=$by -W %h:%p JUMP\\" -i $PWD/key '
    '-o UserKnownHostsFile=$PWD/known_hosts -o IdentitiesOnly=yes -o BatchMode=yes"; '
)


@pytest.mark.parametrize("allowed", [[HOST], ["other.test"]], ids=["granted", "not granted"])
def test_git_clones_by_way_of_a_jump_host_that_is_granted(
    made: Stage, server: Sshd, allowed: Sequence[str]
) -> None:
    """What is behind the jump host is reached by it, and not by the proxy."""
    with connect_proxy({f"{HOST}:22": server.port}) as behind:
        network = {"allow_domain": allowed, "upstream_proxy": f"127.0.0.1:{behind.port}"}
        script = BY_JUMP.replace("JUMP", f"{server.user}@{HOST}")
        url = f"ssh://{server.user}@127.0.0.1:{server.port}{server.repository}"
        ended = inside(made, server, f"{script} git clone {url} cloned", network)
    is_reached = allowed == [HOST]
    assert (ended.exit_code == 0) is is_reached, ended.stderr
    assert readme(made).exists() is is_reached
    assert behind.targets == [f"{HOST}:22"] * is_reached


def test_a_push_of_many_megabytes_arrives_whole(made: Stage, server: Sshd) -> None:
    """The pack goes up while the other direction has something to say, too."""
    with connect_proxy({f"{HOST}:22": server.port}) as behind:
        network = {"allow_domain": [HOST], "upstream_proxy": f"127.0.0.1:{behind.port}"}
        script = (
            f"{WITH_KEY} git clone -q {server.user}@{HOST}:{server.repository} cloned && cd cloned && "
            "head -c 8000000 /dev/urandom > BIG && git add BIG && git commit -qm big && "
            "git push -q origin HEAD:big && git hash-object BIG"
        )
        ended = inside(made, server, script, network)
    assert ended.exit_code == 0, ended.stderr
    found = made.runner.bare(
        ["git", "-C", str(server.repository), "rev-parse", "big:BIG"], environment=ENVIRONMENT
    )
    assert found.stdout == ended.stdout


def on_own_port(made: Stage, server: Sshd, network: Mapping[str, object]) -> Ended:
    url = f"ssh://{server.user}@localhost:{server.port}{server.repository}"
    return inside(made, server, f"{WITH_KEY} git clone {url} cloned", network)


def test_another_port_than_that_of_ssh_has_to_be_granted_as_raw(made: Stage, server: Sshd) -> None:
    host = f"localhost:{server.port}"
    ended = on_own_port(made, server, {"allow_domain": [host], "raw_tunnels": [host]})
    assert ended.exit_code == 0, ended.stderr
    assert readme(made).read_text() == "hello\n"


def test_a_port_that_is_granted_for_tls_carries_no_ssh(made: Stage, server: Sshd) -> None:
    ended = on_own_port(made, server, {"allow_domain": [f"localhost:{server.port}", "other.test"]})
    assert ended.exit_code == 128
    assert ("host_denied", "localhost") in refused_by_proxy(ended)
    assert not readme(made).exists()


def git_ssh_command(made: Stage, allowed: Sequence[str], *, fixed: Mapping[str, str] | None = None) -> str:
    """Return what git finds in the sandbox; fixed: variables of the profile."""
    profile = {"network": {"allow_domain": allowed}, "environment": {"set_vars": fixed or {}}}
    argv = ["sh", "-c", 'echo "$GIT_SSH_COMMAND"']
    return made.runner.run(argv, profile=profile).stdout.strip()


def test_a_command_of_the_persons_own_is_left_alone(made: Stage) -> None:
    assert "connect_helper.py %h %p" in git_ssh_command(made, [HOST])
    assert git_ssh_command(made, [HOST], fixed={"GIT_SSH_COMMAND": "my-ssh -x"}) == "my-ssh -x"
    assert git_ssh_command(made, [HOST], fixed={"GIT_SSH": "/my/ssh"}) == ""


def test_where_ssh_can_be_spoken_nowhere_nothing_of_it_is_granted(made: Stage) -> None:
    assert git_ssh_command(made, [f"{HOST}:443"]) == ""
    assert git_ssh_command(made, [f"{HOST}:22"]) != ""
    read = ["cat", connect_helper.__file__]
    # Every command may read nono's installation, unless a part of it is denied.
    files = {"deny": [str(Path(connect_helper.__file__).with_name("__main__.py"))]}
    for host, exit_code in ((f"{HOST}:443", 1), (HOST, 0)):
        profile = {"network": {"allow_domain": [host]}, "filesystem": files}
        assert made.runner.run(read, profile=profile).exit_code == exit_code


def test_with_another_token_there_is_no_tunnel(made: Stage, server: Sshd) -> None:
    wrong = "export HTTPS_PROXY=http://nono:wrong@${HTTPS_PROXY#*@};"
    ended, targets = clone_by_port_22(made, server, [HOST], wrong)
    assert ended.exit_code == 128
    assert "407" in ended.stderr
    assert targets == []


def test_without_a_proxy_the_helper_says_what_it_is_for(made: Stage, server: Sshd) -> None:
    unset = "unset HTTPS_PROXY https_proxy ALL_PROXY all_proxy;"
    ended, targets = clone_by_port_22(made, server, [HOST], unset)
    assert ended.exit_code == 128
    assert "HTTPS_PROXY is not set" in ended.stderr
    assert targets == []
