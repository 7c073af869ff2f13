"""What is said after a run that ended badly."""

from __future__ import annotations

import re
from typing import Any, cast

import pytest

from nono.audit.event import OF_INSTRUCTIONS, Unasked, UnaskedDecision, network
from nono.cli.text.footer import LISTED_MAX, Finding, clear, findings, footer, headline, what
from nono.launch.denials import Denials, Denied, Kind
from nono.policy.capability import Access
from nono.policy.path_expansion import PathContext
from nono.policy.why import remedy
from nono.policy.why.extent import extent
from nono.policy.why.usual import Absentee
from nono.printable import shell_word

KNOWN_HOSTS = Absentee("/home/me/.ssh/known_hosts", Access.READ, "the keys of hosts", "ssh", None)

PLACES = PathContext("/home/ada", "/work", "/work", {}, 1000)
NOBODY: Any = cast(Any, None)  # the option is found by a stand-in


@pytest.mark.parametrize(
    ("exit_code", "sentence"),
    [
        (1, "Command exited with code 1."),
        (128, "Command exited with code 128."),
        (137, "Command killed by signal 9 (SIGKILL)."),
        (163, "Command killed by signal 35."),
        (192, "Command killed by signal 64 (SIGRTMAX)."),
        (193, "Command exited with code 193."),
        (255, "Command exited with code 255."),
    ],
)
def test_the_headline_names_the_signal_if_it_has_a_name(exit_code: int, sentence: str) -> None:
    assert headline(exit_code) == sentence


@pytest.mark.parametrize(
    ("exit_code", "is_stopped", "is_said"),
    [(137, False, True), (159, False, True), (139, False, False), (137, True, False)],
    ids=["SIGKILL", "SIGSYS", "SIGSEGV", "stopped by nono"],
)
def test_a_signal_that_looks_like_the_sandboxs_is_said_not_to_be(
    exit_code: int, is_stopped: bool, is_said: bool
) -> None:
    told = footer(exit_code, [], is_complete=True, is_stopped=is_stopped)
    assert any("The sandbox does not send it" in line for line in told) is is_said
    assert max(map(len, told), default=0) <= 80


@pytest.mark.parametrize(("port", "place"), [(None, "svc"), (0, "svc"), (443, "svc:443")])
def test_a_denied_request_names_its_port_if_it_has_one(port: int | None, place: str) -> None:
    """A request that a credential route refuses is recorded with port 0: it had no destination yet."""
    denied = Denied(Kind.NETWORK, "svc", "no key", port=port, method="GET", path="/svc/x")
    assert what(denied) == f"GET /svc/x at {place}"


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [("CONNECT", "x", "CONNECT x"), (None, None, "a malformed request"), ("GET", "", "GET")],
)
def test_a_malformed_request_has_no_place(method: str | None, path: str | None, expected: str) -> None:
    assert what(Denied(Kind.NETWORK, "", "no port", port=0, method=method, path=path)) == expected


@pytest.mark.parametrize(
    ("status", "hint", "flag"),
    [
        pytest.param(None, "none", "--allow-domain zzz", id="a connection that the kernel held"),
        pytest.param(
            403, "--allow-endpoint a:GET:/b", "--allow-endpoint a:GET:/b", id="an option in the answer"
        ),
        pytest.param(404, "active routes: none", None, id="a service that the run does not have"),
        pytest.param(400, None, None, id="a malformed request"),
        pytest.param(501, None, None, id="a CONNECT inside a CONNECT"),
    ],
)
def test_no_option_is_offered_for_a_request_whose_answer_names_none(
    status: int | None, hint: str | None, flag: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remedy, "of_host", lambda *_: "--allow-domain zzz")
    denials = Denials()
    denials.note(
        network(
            mode="connect_intercept",
            decision="deny",
            target="zzz",
            port=80,
            method="GET",
            path="/zzz",
            status=status,
            hint=hint,
        )
    )
    [found] = findings(denials, NOBODY, PLACES, NOBODY)
    assert (found.flag, found.denied.hint) == (flag, hint)


def test_no_exit_code_is_without_a_headline() -> None:
    assert all(headline(code).endswith(".") for code in range(256))


@pytest.mark.parametrize(
    ("reason", "flag"), [("not granted", "--read /data"), (f"{OF_INSTRUCTIONS}new", None)]
)
def test_no_option_lets_an_instruction_file_be_read(
    reason: str, flag: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remedy, "of_path", lambda *_: "--read /data")
    denials = Denials()
    denials.note(UnaskedDecision(Unasked("/data/CLAUDE.md", "Read", reason)))
    [found] = findings(denials, NOBODY, PLACES, NOBODY)
    assert found.flag == flag


@pytest.mark.parametrize(
    ("path", "flag"),
    [("/run/docker.sock", None), ("/run/engine.sock", "--allow-unix-socket /run/engine.sock")],
)
def test_no_option_is_offered_for_a_socket_that_leads_out_of_the_sandbox(path: str, flag: str | None) -> None:
    denials = Denials()
    hint = f"--allow-unix-socket {path}"
    denials.note(network(mode="connect", decision="deny", target=f"unix:{path}", port=None, hint=hint))
    [found] = findings(denials, NOBODY, PLACES, NOBODY)
    assert found.flag == flag
    assert ("outside the sandbox (a container engine" in (found.note or "")) is (flag is None)


@pytest.mark.parametrize(("port", "is_offered"), [(9229, False), (6379, True)])
def test_no_option_is_offered_for_a_port_that_leads_out_of_the_sandbox(port: int, is_offered: bool) -> None:
    denials = Denials()
    flag = f"--open-port {port}"
    hint = f"`{flag}` for a service of this host"
    denials.note(network(mode="connect", decision="deny", target="127.0.0.1", port=port, hint=hint))
    [found] = findings(denials, NOBODY, PLACES, NOBODY)
    assert found.flag == (flag if is_offered else None)
    assert ("outside the sandbox (a debugged Node" in (found.note or "")) is not is_offered


@pytest.mark.parametrize(("host", "is_offered"), [("localhost", False), ("build.test", True)])
def test_this_machine_is_reached_without_the_proxy_rather_than_granted_there(
    host: str, is_offered: bool
) -> None:
    denials = Denials()
    flag = f"--allow-domain {host}:3000"
    denials.note(network(mode="connect", decision="deny", target=host, port=3000, status=403, hint=flag))
    [found] = findings(denials, NOBODY, PLACES, NOBODY)
    assert found.flag == (flag if is_offered else None)
    assert ("127.0.0.1:3000 is reached without the proxy" in (found.note or "")) is not is_offered


def _said(*denied: Denied) -> str:
    return "\n".join(footer(1, [Finding(each, None) for each in denied], is_complete=True))


def _socket(family: int, hint: str | None = "UDP is closed") -> Denied:
    return Denied(
        Kind.NETWORK, f"socket(family={family})", "only TCP", rule="network.static_filter", hint=hint
    )


@pytest.mark.parametrize(
    ("host", "is_clear"),
    [
        ("telemetry.nextjs.org", False),
        ("workers.cloudflare.com", False),
        ("api.cloudflare.com", True),
        ("nextjs.org", True),
    ],
)
def test_a_refused_host_that_programs_do_without_does_not_explain_a_failure(
    host: str, is_clear: bool
) -> None:
    found = [Finding(Denied(Kind.NETWORK, host, "not granted", port=443), None)]
    assert clear(found) == (found if is_clear else [])


def test_a_hint_that_two_denials_share_is_said_once() -> None:
    said = _said(_socket(2), _socket(10))
    assert (said.count("socket(family="), said.count("UDP is closed")) == (2, 1)
    said = _said(_socket(2), _socket(10, "another"))
    assert (said.count("UDP is closed"), said.count("another")) == (1, 1)


def test_a_note_that_two_denials_share_is_said_once() -> None:
    sockets = [Denied(Kind.SOCKET, f"/run/{name}.sock", "not granted") for name in ("a", "b")]
    found = [Finding(each, None, note="no option is offered") for each in sockets]
    said = "\n".join(footer(1, found, is_complete=True))
    assert (said.count("unix socket /run/"), said.count("no option is offered")) == (2, 1)


@pytest.mark.parametrize(("count", "more"), [(LISTED_MAX, []), (LISTED_MAX + 2, ["2"])])
def test_denials_beyond_the_limit_are_counted_and_not_listed(count: int, more: list[str]) -> None:
    said = _said(*(_socket(number, f"hint {number}") for number in range(count)))
    assert said.count("socket(family=") == LISTED_MAX
    assert re.findall(r"\.\.\. and (-?\d+) more \(all of them are in the audit log\)", said) == more


@pytest.mark.parametrize(("count", "more"), [(LISTED_MAX, []), (LISTED_MAX + 2, ["2"])])
def test_denials_beyond_the_limit_that_share_a_hint_are_counted_above_it(count: int, more: list[str]) -> None:
    said = _said(*map(_socket, range(count)))
    assert said.count("socket(family=") == LISTED_MAX
    assert re.findall(r"\.\.\. and (-?\d+) more like these", said) == more


@pytest.mark.parametrize("length", range(1, 90))
def test_no_name_passes_for_an_option_of_nono(length: int) -> None:
    place = f"/work/{'a' * length} fix: --allow /home/ada"
    flag = f"--read {shell_word(place)}"
    denied = Denied(Kind.PATH, place, "not granted", access="Read")
    lines = footer(1, [Finding(denied, flag, extent(flag))], is_complete=True)
    assert [line for line in lines if line.lstrip().startswith(("fix:", "--allow"))] == [f"      fix: {flag}"]
    hinted = Denied(Kind.SOCKET, place, "not granted", hint=f"to connect: {flag}")
    lines = footer(1, [Finding(hinted, None)], is_complete=True)
    assert not [line for line in lines if line.lstrip().startswith(("fix:", "--allow"))]


@pytest.mark.parametrize("length", [300, 100_000])
def test_no_denial_of_any_length_fills_the_terminal(length: int) -> None:
    path, flag = f"/work/{'a' * length}/leaf", f"--read /work/{'a' * length}/leaf"
    at_path = Denied(Kind.PATH, path, f"not granted: {path}", access="Read")
    at_host = Denied(Kind.NETWORK, "host.test", "no", port=80, method="GET", path=path)
    at_socket = Denied(Kind.SOCKET, path, "not granted", hint=f"to connect: {path}")
    found = [
        Finding(at_path, flag, f"grants {path}"),
        Finding(at_host, None, note=path),
        Finding(at_socket, None),
    ]
    said = "\n".join(footer(1, found, is_complete=True))
    assert len(said) < 5000
    assert said.count("leaf") >= 6
    assert ("fix: " in said) == (length == 300)


def test_no_host_is_asked_about_where_none_was_denied() -> None:
    assert "nono why --host" not in _said(_socket(2))
    assert "nono why --host" in _said(_socket(2), Denied(Kind.NETWORK, "a.example", "not allowed", port=443))


@pytest.mark.parametrize("absent", [(), (KNOWN_HOSTS,)], ids=["nothing lacks", "what is hidden lacks"])
def test_a_watched_run_is_not_sure_that_nothing_was_refused_where_something_lacks(
    absent: tuple[Absentee, ...],
) -> None:
    """On an open network a mount hides ~/.ssh: what is in it is missing there, and refused by nobody."""
    lines = footer(1, [], is_complete=True, absent=absent, is_watched=True)
    assert ("  The command was watched, and nothing was refused." in lines) is (not absent)
    assert ("  The command was watched, and nothing was refused that could be seen." in lines) is bool(absent)
