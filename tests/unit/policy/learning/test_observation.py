"""What a watched command did is kept as far as its profile does not grant it, and bounded."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address

import pytest

from nono.audit import event
from nono.policy.capability import Access, Denial, Grant
from nono.policy.files.denials import DenyRules
from nono.policy.files.grants import GrantTable
from nono.policy.files.path_verdict import FilePolicy
from nono.policy.files.unix_sockets import UNIX_SOCKET
from nono.policy.learning import observation
from nono.policy.learning.observation import Need, Observation, Refused, Site
from nono.policy.ports import OPEN_PORT, PortGrants

PRIVATE = {"/srv/app/auth.json": "by its name"}


def policy(*grants: tuple[str, Access]) -> FilePolicy:
    table = GrantTable(Grant(path, access, True, "user", path) for path, access in grants)
    secret = Denial("/home/.ssh", "~/.ssh", "group:deny_credentials")
    return FilePolicy(table, DenyRules((secret,), ()), (("~/.nono", "/home/.nono"),), GrantTable(()))


@pytest.fixture
def watched() -> Observation:
    granted = policy(("/usr", Access.READ), ("/tmp", Access.WRITE))
    allowed = policy(
        ("/usr", Access.READ),
        ("/tmp", Access.READWRITE),
        ("/home", Access.READ),
        ("/home/out", Access.READWRITE),
        ("/work", Access.READWRITE),
    )
    return Observation(
        granted, ("/work", granted), allowed, whole=("/work", "/tmp"), ports=PortGrants(), private=PRIVATE
    )


def needs(watched: Observation) -> set[Need]:
    return set(watched.learned().needs)


def test_what_the_profile_grants_is_no_need(watched: Observation) -> None:
    watched.used("/usr/lib/libc.so", Access.READ, is_dir=False)
    watched.used("/home/.toolrc", Access.READ, is_dir=False)
    assert needs(watched) == {Need("/home/.toolrc", Access.READ, False)}


def test_accesses_to_one_path_add_up(watched: Observation) -> None:
    watched.used("/home/out/log", Access.READ, is_dir=False)
    watched.used("/home/out/log", Access.WRITE, is_dir=False)
    assert needs(watched) == {Need("/home/out/log", Access.READWRITE, False)}


def test_only_what_a_grant_lacks_is_a_need(watched: Observation) -> None:
    watched.used("/tmp/x", Access.READWRITE, is_dir=False)
    assert needs(watched) == {Need("/tmp", Access.READ, True)}


def test_the_working_directory_is_one_need(watched: Observation) -> None:
    for number in range(100):
        watched.used(f"/work/{number}", Access.READ, is_dir=False)
    watched.changed("/work/d", "made", Access.WRITE, is_made=True)
    assert needs(watched) == {Need("/work", Access.READWRITE, True)}


def test_a_file_the_command_made_is_a_need_of_its_directory(watched: Observation) -> None:
    watched.changed("/home/out", "session-1", Access.WRITE, is_made=True)
    watched.changed("/home/out/session-1", "log", Access.WRITE, is_made=True)
    watched.used("/home/out/session-1/log", Access.READ, is_dir=False)
    assert needs(watched) == {Need("/home/out", Access.READWRITE, True)}


def test_what_it_could_not_have_made_is_not_its_own(watched: Observation) -> None:
    """It tries to make a file where it may not, to be granted the directory."""
    watched.changed("/home", ".toolrc", Access.WRITE, is_made=True)
    watched.used("/home/.toolrc", Access.READ, is_dir=False)
    assert needs(watched) == {Need("/home/.toolrc", Access.READ, False)}
    assert watched.learned().refused == (Refused("/home/.toolrc", "write", "watched for read only", True),)


def test_what_it_removed_is_not_what_it_made(watched: Observation) -> None:
    watched.changed("/home/out", "old", Access.WRITE, is_made=False)
    watched.used("/home/out/old/log", Access.READ, is_dir=False)
    assert needs(watched) == {
        Need("/home/out", Access.WRITE, True),
        Need("/home/out/old/log", Access.READ, False),
    }


@pytest.mark.parametrize(
    ("path", "access", "reason"),
    [
        ("/home/.ssh/id", Access.READ, "sensitive (group:deny_credentials)"),
        ("/home/.nono/state", Access.READ, "nono's own state"),
        ("/srv/app/auth.json", Access.READ, "sensitive (by its name)"),
        ("/srv/x", Access.READ, "outside what was watched"),
        ("/home/.toolrc", Access.WRITE, "watched for read only"),
    ],
)
def test_what_was_not_let_is_listed_with_its_reason(
    watched: Observation, path: str, access: Access, reason: str
) -> None:
    watched.used(path, access, is_dir=False)
    may_be_asked = "watched" in reason
    assert watched.learned().refused == (Refused(path, access.value, reason, may_be_asked),)
    assert needs(watched) == set()


def test_files_of_nonos_own_are_none_of_the_commands(watched: Observation) -> None:
    watched.ignore(["/home/.nono/bundle.pem"])
    watched.used("/home/.nono/bundle.pem", Access.READ, is_dir=False)
    assert watched.learned().refused == ()


def test_paths_beyond_the_limit_become_directories_or_a_number(
    watched: Observation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(observation, "NEEDS_MAX", 10)
    watched.used("/home/d", Access.READ, is_dir=True)
    for number in range(20):
        watched.used(f"/home/d/{number}", Access.READ, is_dir=False)
        watched.used(f"/home/e{number}/f", Access.READ, is_dir=False)
    learned = watched.learned()
    assert len(learned.needs) == 10
    assert learned.dropped == 20 - 4


def test_refusals_are_bounded(watched: Observation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observation, "REFUSED_MAX", 3)
    for number in range(5):
        watched.used(f"/srv/{number}", Access.READ, is_dir=False)
    assert len(watched.learned().refused) == 3
    assert watched.learned().dropped == 2


def refused(watched: Observation, number: int) -> None:
    watched.used(f"/srv/{number}", Access.READ, is_dir=False)


def connected(watched: Observation, number: int) -> None:
    watched.recorded(request(mode="connect", port=number, rule=OPEN_PORT, method=None, path=None))


def reached(watched: Observation, number: int) -> None:
    socket = f"unix:/srv/{number}"
    watched.recorded(request(target=socket, port=None, rule=UNIX_SOCKET, method=None, path=None))


@pytest.mark.parametrize(
    ("limit", "act"), [("REFUSED_MAX", refused), ("PORTS_MAX", connected), ("SOCKETS_MAX", reached)]
)
def test_only_what_is_left_out_is_counted(
    watched: Observation,
    monkeypatch: pytest.MonkeyPatch,
    limit: str,
    act: Callable[[Observation, int], None],
) -> None:
    monkeypatch.setattr(observation, limit, 3)
    for number in (1, 2, 3, 1, 2, 3):
        act(watched, number)
    assert watched.learned().dropped == 0
    act(watched, 4)
    assert watched.learned().dropped == 1


def test_requests_are_bounded(watched: Observation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observation, "REQUESTS_MAX", 3)
    for number in range(5):
        watched.recorded(request(target=f"h{number}.example"))
    assert len(watched.learned().sites) == 3
    assert watched.learned().dropped == 2


def request(**fields: object) -> event.Event:
    usual = {"mode": "connect_intercept", "decision": "allow", "target": "api.example", "port": 443}
    return event.network(**{**usual, "method": "GET", "path": "/a?key=[REDACTED]", **fields})  # type: ignore[arg-type]  # each test names real fields


@pytest.mark.parametrize(
    ("fields", "site", "seen"),
    [
        ({"path": "/@scope%2Fname"}, Site("https", "api.example", 443), ("*", "/**")),
        ({"path": "/" + "a" * 2000}, Site("https", "api.example", 443), ("*", "/**")),
        ({}, Site("https", "api.example", 443), ("GET", "/a")),
        ({"mode": "reverse", "port": 80}, Site("http", "api.example", 80), ("GET", "/a")),
        (
            {"mode": "connect", "method": "CONNECT", "path": None},
            Site("https", "api.example", 443),
            ("*", "/**"),
        ),
    ],
)
def test_a_request_is_kept_by_host_method_and_path(
    watched: Observation, fields: dict[str, object], site: Site, seen: tuple[str, str]
) -> None:
    watched.recorded(request(**fields))
    assert watched.learned().sites == {site: frozenset({seen})}


@pytest.mark.parametrize(
    "make",
    [
        lambda: request(method="CONNECT", path=None),  # its requests follow
        lambda: request(method=None, path=None, mode="connect", rule="network.open_port"),
        lambda: event.session_ended(0),
    ],
)
def test_other_events_are_no_requests(watched: Observation, make: Callable[[], event.Event]) -> None:
    watched.recorded(make())
    assert watched.learned().sites == {}


def test_a_request_with_a_credential_is_a_use_of_its_service(watched: Observation) -> None:
    watched.recorded(request(route_id="openai", managed_credential_active=True))
    assert (watched.learned().services, watched.learned().sites) == (frozenset({"openai"}), {})


def test_ports_are_kept_by_where_they_are_listened_on_or_reached(watched: Observation) -> None:
    watched.ports.bound(ip_address("127.0.0.1"), 8000, is_shared=False)
    watched.ports.bound(ip_address("0.0.0.0"), 9000, is_shared=False)
    reached = {"mode": "connect", "method": None, "path": None, "target": "127.0.0.1"}
    watched.recorded(request(**reached, port=9000, rule="network.open_port"))
    watched.recorded(request(**reached, port=5432, rule="network.connect_port"))
    learned = watched.learned()
    assert (sorted(learned.open_ports), sorted(learned.listen_ports)) == ([8000, 9000], [9000])


def test_a_port_that_may_not_be_listened_on_is_listed_as_such(watched: Observation) -> None:
    watched.recorded(request(decision="deny", target="::1", port=80, reason="no", rule="network.listen_port"))
    assert watched.learned().refused == (Refused("::1:80", "listen", "no"),)


def test_ports_are_bounded(watched: Observation) -> None:
    for port in range(2000, 4000):
        watched.ports.bound(ip_address("127.0.0.1"), port, is_shared=False)
    assert len(watched.learned().open_ports) == observation.PORTS_MAX


def test_a_refused_host_is_listed(watched: Observation) -> None:
    watched.recorded(
        request(decision="deny", target="127.0.0.1", port=6379, reason="no", hint="`--open-port`")
    )
    assert watched.learned().refused == (Refused("127.0.0.1:6379", "connect", "no (`--open-port`)"),)
