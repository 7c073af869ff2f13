"""K7: what the command itself connects to the proxy needs no token; a wrong one is refused all the same."""

from __future__ import annotations

import pytest

from support.nono_run import POLICIES, NonoRun

# Prints the status of a CONNECT to a host that is refused: 403 says that the client was let in.
CODE = """
import os, socket, sys, urllib.parse
proxy = urllib.parse.urlsplit(os.environ["HTTP_PROXY"])
client = socket.create_connection((proxy.hostname, proxy.port))
for fields in sys.argv[1:]:
    head = "CONNECT denied.example:443 HTTP/1.1\\r\\nHost: denied.example\\r\\n" + fields + "\\r\\n"
    client.sendall(head.encode())
    print(client.recv(65536).split()[1].decode())
"""
WRONG = "Proxy-Authorization: Bearer wrong\r\n"


@pytest.mark.parametrize("policy", POLICIES)
def test_the_command_needs_a_token_only_where_nobody_knows_whose_a_connection_is(
    sandbox: NonoRun, policy: str
) -> None:
    command = ["/usr/bin/python3", "-I", "-c", CODE, "", WRONG, ""]
    run = sandbox.run(command, flags=[f"--sandbox-policy={policy}"])
    known = policy != "landlock"
    assert run.stdout.split() == (["403", "407", "403"] if known else ["407", "407", "407"])
    categories = [event["denial_category"] for event in run.denied]
    expected = "host_denied" if known else "authentication_required"
    assert sorted(categories) == sorted([expected, "authentication_failed", expected])


def test_the_question_for_the_token_is_not_reported_as_a_denial(sandbox: NonoRun) -> None:
    """git asks without it first, and then goes on; the audit log keeps the answer."""
    command = ["/usr/bin/python3", "-I", "-c", CODE + "\nsys.exit(1)", ""]
    run = sandbox.run(command, flags=["--sandbox-policy=landlock"])
    assert [event["denial_category"] for event in run.denied] == ["authentication_required"]
    assert "session token" not in run.stderr
    wrong = sandbox.run([*command[:-1], WRONG], flags=["--sandbox-policy=landlock"])
    assert "session token" in wrong.stderr
