"""`nono why` says of this machine's ports that a server of the command's own is reached there."""

from __future__ import annotations

import pytest

from support.nono_run import NONO, NonoRun

OWN = "a server that the command itself has started is reached at 127.0.0.1:3000 without an option"
SERVES = """
import http.client, http.server, threading
server = http.server.HTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
threading.Thread(target=server.serve_forever, daemon=True).start()
client = http.client.HTTPConnection(*server.server_address)
client.request("GET", "/")
print(client.getresponse().status)
"""


def details(sandbox: NonoRun, host: str, *options: str) -> str:
    argv = [*NONO, "why", "--allow-domain=a.example", *options, "--json", "--host", host]
    answer = sandbox.bare(argv).outcomes()
    assert isinstance(answer, dict)
    assert answer["status"] == "denied"
    return str(answer["details"])


@pytest.mark.needs("listener")
@pytest.mark.parametrize("host", ["localhost:3000", "http://localhost:3000/x", "127.0.0.1:3000"])
def test_a_server_of_its_own_is_said_to_be_reached_where_it_is(sandbox: NonoRun, host: str) -> None:
    assert OWN in details(sandbox, host)


@pytest.mark.needs("listener")
def test_what_is_said_holds_where_a_gateway_has_the_name_of_this_machine(sandbox: NonoRun) -> None:
    options = ["--allow-domain=localhost:8443"]
    assert OWN in details(sandbox, "localhost:3000", *options)
    run = sandbox.run(["python3", "-c", SERVES], profile={}, flags=["--allow-domain=a.example", *options])
    assert run.stdout.split() == ["200"]


@pytest.mark.needs("listener")
@pytest.mark.parametrize(
    ("host", "options"),
    [
        pytest.param("localhost:443", [], id="a port of the machine's own servers"),
        pytest.param("b.example:3000", [], id="another host"),
        pytest.param("localhost:3000", ["--sandbox-policy=landlock"], id="nobody knows whose it is"),
        pytest.param("localhost:3000", ["--block-net"], id="no network"),
    ],
)
def test_it_is_not_said_where_none_would_be_reached(sandbox: NonoRun, host: str, options: list[str]) -> None:
    if "--block-net" in options:
        argv = [*NONO, "why", *options, "--json", "--host", host]
        assert "server" not in str(sandbox.bare(argv).outcomes())
    else:
        assert "server" not in details(sandbox, host, *options)
