"""K7-kept: a command takes the port of this machine at which nono sends a key."""

from __future__ import annotations

import json
import socket

import pytest

from support.nono_run import SANDBOX_POLICIES, Ended, NonoRun, program
from support.ports import unused_port
from support.servers.http1 import Received, upstream

IP_LOCAL_PORT_RANGE = 51  # linux/in.h
KEY = "sk-ant-api03-canary-of-the-gateways-own-key"
BEDROCK = {"upstream": "https://bedrock-runtime.eu-west-1.amazonaws.com", "aws_auth": {}}
HOSTS = ["127.0.0.1", "::1", "0.0.0.0", "::"]


def taking(
    sandbox: NonoRun, host: str, port: int, beside: int, *flags: str, name: str = "127.0.0.1"
) -> Ended:
    """Return a run with the key of a gateway at `name`, whose command listens on its port and on another."""
    return sandbox.run(
        program("proxy.taken_port", host, port, beside),
        flags=[f"--credential=anthropic=http://{name}:{port}", *flags],
        environment={"ANTHROPIC_API_KEY": KEY},
    )


@pytest.mark.needs("listener")
@pytest.mark.parametrize("host", HOSTS)
def test_a_command_listens_on_no_port_where_a_key_is_sent(sandbox: NonoRun, host: str) -> None:
    port, beside = unused_port(), unused_port()
    ended = taking(sandbox, host, port, beside)
    assert ended.outcomes() == {"kept": "EACCES", "beside": "ok", "status": 502, "heard": []}
    [denied] = [event for event in ended.denied if event.get("rule") == "network.kept_port"]
    assert (denied["target"], denied["port"]) == (host, port)
    assert f"nono itself sends the key of 'anthropic' on port {port} of this machine" in denied["reason"]


@pytest.mark.needs("listener")
def test_a_socket_that_listens_again_is_given_no_port_where_a_key_is_sent(sandbox: NonoRun) -> None:
    """What has stopped listening has no port any more, and tells that it had one."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]  # one of those that the kernel chooses from
        try:
            probe.setsockopt(socket.IPPROTO_IP, IP_LOCAL_PORT_RANGE, bytes(4))
        except OSError:
            pytest.skip("no socket chooses its range of ports before Linux 6.3")
    again = program("proxy.taken_port", "again", port)
    flags = [f"--credential=anthropic=http://127.0.0.1:{port}"]
    ended = sandbox.run(again, flags=flags, environment={"ANTHROPIC_API_KEY": KEY})
    assert ended.outcomes() == {"kept": "EADDRNOTAVAIL", "status": 502, "heard": []}
    assert sandbox.bare(again).outcomes() == {"kept": "ok", "status": 0, "heard": []}


@pytest.mark.needs("listener")
@pytest.mark.parametrize("policy", [each for each in SANDBOX_POLICIES if each != "netns"])
def test_a_port_that_is_granted_both_ways_is_connected_to_alone(sandbox: NonoRun, policy: str) -> None:
    """In a network of its own the command only connects to an open port anyway, through a relay."""
    port, beside = unused_port(), unused_port()
    flags = [f"--sandbox-policy={policy}", f"--open-port={port}", f"--open-port={beside}"]
    ended = taking(sandbox, "127.0.0.1", port, beside, *flags)
    assert ended.outcomes() == {"kept": "EACCES", "beside": "ok", "status": 502, "heard": []}


@pytest.mark.parametrize("policy", SANDBOX_POLICIES)
def test_a_port_where_a_key_is_sent_is_not_granted_for_listening(sandbox: NonoRun, policy: str) -> None:
    port, beside = unused_port(), unused_port()
    ended = taking(sandbox, "127.0.0.1", port, beside, f"--sandbox-policy={policy}", f"--listen-port={port}")
    assert (ended.exit_code, ended.stdout) == (1, "")
    assert f"would listen on port {port} of this machine, where nono sends the key" in ended.stderr


@pytest.mark.needs("listener")
def test_a_key_goes_to_the_gateway_though_a_command_has_another_address_of_its_name(sandbox: NonoRun) -> None:
    seen: list[bytes | None] = []

    def answer(request: Received) -> None:
        request.read_body()
        seen.append(request.value(b"x-api-key"))
        request.connection.respond(200, b"{}")

    with upstream(answer) as gateway:
        ended = taking(sandbox, "::1", gateway.port, unused_port(), name="localhost")
    assert ended.outcomes() == {"kept": "EACCES", "beside": "ok", "status": 200, "heard": []}
    assert seen == [KEY.encode()]


@pytest.mark.any_user  # which ports are kept; that they are is tried as each by the first test
@pytest.mark.needs("listener")
@pytest.mark.parametrize("host", HOSTS)
def test_a_command_is_sent_neither_the_log_nor_the_login_of_a_collector(sandbox: NonoRun, host: str) -> None:
    """The collector is down, or has the other address of its name."""
    port, beside = unused_port(), unused_port()
    ended = sandbox.run(
        program("sockets.own_servers"),
        flags=[f"--audit-otlp=http://localhost:{port}"],
        environment={"OTEL_EXPORTER_OTLP_HEADERS": "x-login=canary-of-the-collector"},
        stdin="".join(f'["serve", "{each}", "{host}", {each}]\n' for each in (port, beside)),
    )
    assert [json.loads(line)[0] for line in ended.stdout.splitlines()] == ["EACCES", "ok"]
    [denied] = [event for event in ended.denied if event.get("rule") == "network.kept_port"]
    assert f"nono itself sends the audit log to a collector on port {port}" in denied["reason"]


@pytest.mark.any_user  # which ports are kept; that they are is tried as each by the first test
@pytest.mark.needs("listener")
@pytest.mark.parametrize("host", HOSTS)
def test_a_command_gives_nono_no_aws_keys_and_is_sent_no_token_for_them(sandbox: NonoRun, host: str) -> None:
    """Who hands out the keys is down, or has the other address of its name."""
    port, beside = unused_port(), unused_port()
    ended = sandbox.run(
        program("sockets.own_servers"),
        profile={"network": {"custom_credentials": {"bedrock": BEDROCK}}},
        flags=["--credential=bedrock"],
        environment={
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"http://localhost:{port}/keys",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN": "canary-of-the-person",
        },
        stdin="".join(f'["serve", "{each}", "{host}", {each}]\n' for each in (port, beside)),
    )
    assert [json.loads(line)[0] for line in ended.stdout.splitlines()] == ["EACCES", "ok"]
    [denied] = [event for event in ended.denied if event.get("rule") == "network.kept_port"]
    assert f"nono itself asks for the AWS keys of 'bedrock' on port {port}" in denied["reason"]


def test_a_run_that_could_not_keep_the_port_does_not_start(sandbox: NonoRun) -> None:
    ended = taking(sandbox, "127.0.0.1", unused_port(), unused_port(), "--sandbox-policy=external")
    assert (ended.exit_code, ended.stdout) == (1, "")
    assert "nothing here keeps the command from listening there" in ended.stderr
