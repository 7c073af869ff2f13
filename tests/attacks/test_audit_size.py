"""The command chooses neither how long a record is nor how much there is of them."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from hashlib import sha256

import pytest

from support.nono_run import NonoRun
from support.servers.http1 import HttpUpstream, upstream

pytestmark = pytest.mark.any_user

MEBIBYTE = 1 << 20
COUNT = 700  # requests of a flood: the records of some 450 fill a mebibyte
# Requests in absolute form, each with its own long path. Prints how many there were of each status.
FLOOD = """
import base64, http.client, os, sys, urllib.parse
from collections import Counter
proxy = urllib.parse.urlsplit(os.environ["HTTP_PROXY"])
password = base64.b64encode(f"{proxy.username}:{urllib.parse.unquote(proxy.password)}".encode()).decode()
host, count, length = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
seen = Counter()
connection = http.client.HTTPConnection(proxy.hostname, proxy.port, timeout=30)
for number in range(count):
    path = "/" + f"{number:08}" + "x" * length
    connection.request("GET", f"http://{host}{path}", headers={"Proxy-Authorization": "Basic " + password})
    answer = connection.getresponse()
    answer.read()
    seen[answer.status] += 1
    if answer.getheader("Connection") == "close":
        connection.close()
print(dict(seen))
"""


@pytest.fixture
def server() -> Iterator[HttpUpstream]:
    with upstream() as serving:
        yield serving


def flood(server: HttpUpstream, count: int, length: int) -> list[str]:
    host = f"localhost:{server.port}"
    return [sys.executable, "-I", "-S", "-c", FLOOD, host, str(count), str(length)]


def profile(server: HttpUpstream, *, granted: bool = True) -> dict[str, object]:
    hosts = [f"localhost:{server.port}"] if granted else ["elsewhere.example"]
    return {"network": {"allow_domain": hosts}}


@pytest.mark.parametrize("granted", [True, False], ids=["allowed", "refused"])
def test_a_long_path_is_recorded_by_its_start_and_hash(
    granted: bool, sandbox: NonoRun, server: HttpUpstream
) -> None:
    run = sandbox.run(flood(server, 1, 7000), profile=profile(server, granted=granted))
    path = "/00000000" + "x" * 7000
    [event] = [event for event in run.network if event["method"] == "GET"]
    assert event["decision"] == ("allow" if granted else "deny")
    assert event["path"].startswith(path[:500])
    assert f"[{len(path)} bytes, sha256 {sha256(path.encode()).hexdigest()}]" in event["path"]
    assert len(json.dumps(event)) < 4096


@pytest.fixture
def small_budget(sandbox: NonoRun) -> Iterator[None]:
    """Let the user allow a session one mebibyte of log."""
    folder = sandbox.user.home / ".config/nono"
    folder.mkdir(parents=True)
    (folder / "config.toml").write_text("[audit]\nsession_max_mb = 1\n")
    for made in (folder, folder.parent, folder / "config.toml"):
        sandbox.give(made)
    yield
    (folder / "config.toml").unlink()
    folder.rmdir()


@pytest.mark.usefixtures("small_budget")
def test_a_flood_of_allowed_requests_ends_with_the_budget(sandbox: NonoRun, server: HttpUpstream) -> None:
    before = set(sandbox.logs())
    run = sandbox.run(flood(server, COUNT, 7000), profile=profile(server))
    [log] = set(sandbox.logs()) - before
    assert log.stat().st_size <= MEBIBYTE + 64 * 1024
    seen = {int(status): count for status, count in eval(run.stdout).items()}
    assert set(seen) == {200, 503}
    assert len(server.requests) == seen[200] == len(run.allowed)
    [reached] = [event for event in run.events if event["type"] == "audit_budget_reached"]
    assert reached["budget_bytes"] == MEBIBYTE
    assert run.events[-1]["type"] == "session_ended"
    assert "the audit log of this run has reached 1 MiB" in run.stderr


@pytest.mark.usefixtures("small_budget")
def test_refusals_go_on_being_refusals_beyond_the_budget(sandbox: NonoRun, server: HttpUpstream) -> None:
    run = sandbox.run(flood(server, COUNT, 7000), profile=profile(server, granted=False))
    assert run.stdout == f"{{403: {COUNT}}}\n", run.stderr
    assert run.exit_code == 0
    unrecorded = [event["refusals"] for event in run.events if event["type"] == "audit_unrecorded"]
    recorded = run.denied
    assert len(unrecorded) == 1
    assert len(recorded) < COUNT <= len(recorded) + sum(unrecorded)


@pytest.mark.usefixtures("small_budget")
def test_another_run_is_not_held_up_by_a_full_one(sandbox: NonoRun, server: HttpUpstream) -> None:
    sandbox.run(flood(server, COUNT, 7000), profile=profile(server))
    beside = sandbox.run(flood(server, 1, 10), profile=profile(server))
    assert beside.stdout == "{200: 1}\n", beside.stderr
