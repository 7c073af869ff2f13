"""Captured credentials: when the command runs, what of its output is used, and what is recorded."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import pytest

from nono.audit.dedup import DedupRecorder
from nono.audit.event import Event
from nono.credentials.capture import cache
from nono.credentials.capture import credential as capture_module
from nono.credentials.capture.credential import CommandCapture
from nono.credentials.capture.output import Captured, Unusable, read_output
from nono.credentials.values.credential import Injection, Outgoing, RequestFacts
from nono.credentials.values.errors import CredentialUnavailable
from nono.errors import CredentialError
from nono.policy.schema.route_rules import Capture, Inject
from nono.policy.services.regex_cost import MAX_PATH
from nono.secret import Secret

CANARY = "c4n4ryC4N4RYc4n4ry0123456789"
REQUEST = RequestFacts("api.example", 443, "GET", "/repos/a/b?x=1", "gh")
ENVIRON = {"PATH": "/usr/bin:/bin", "HOME": "/home/me", "MY_TOKEN": "expanded", "HTTPS_PROXY": "http://x"}


@dataclass
class Stage:
    """A capture whose runs are counted by the lines of a file, with a clock that a test moves."""

    directory: Path
    now: float = 1000.0
    events: list[Event] = field(default_factory=list)
    report_error: OSError | None = None

    def capture(self, script: str = "", inject: Inject | None = None, **rest: object) -> CommandCapture:
        # In a file, because the record shows the command line, in which a script would show what it prints.
        helper = self.directory / "helper.sh"
        helper.write_text(f"echo run >> {self.directory}/runs\n{script or f'echo {CANARY}'}\n")
        settings = Capture("helper", ("sh", str(helper)), **rest)  # type: ignore[arg-type]  # by keyword
        return self.of(settings, inject)

    def of(self, settings: Capture, inject: Inject | None = None) -> CommandCapture:
        return CommandCapture(
            settings,
            inject or Inject(),
            ENVIRON,
            self._report,
            session_id="a-session",
            clock=lambda: self.now,
        )

    def _report(self, event: Event) -> None:
        if self.report_error is not None:
            raise self.report_error
        self.events.append(event)

    @property
    def runs(self) -> int:
        path = self.directory / "runs"
        return len(path.read_text().splitlines()) if path.exists() else 0

    def recorded(self) -> list[dict[str, object]]:
        found = []
        for each in self.events:
            assert each["type"] == "network"
            assert isinstance(each["event"], dict)
            found.append(each["event"])
        assert CANARY not in json.dumps(found)
        return found

    def actions(self) -> list[object]:
        return [each["credential_capture_action"] for each in self.recorded()]


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def on_a_loop(main: Callable[[], Awaitable[None]]) -> None:
    anyio.run(main, backend_options={"use_uvloop": True})


def sent(injection: Injection | None) -> list[tuple[bytes, bytes]]:
    assert injection is not None
    return injection.inject(Outgoing(b"GET", b"/", b"api.example", [])).headers


def acquired(credential: CommandCapture, *requests: RequestFacts) -> list[tuple[bytes, bytes]]:
    """Return the header fields of the last request."""
    results: list[Injection] = []

    async def main() -> None:
        results.extend([await credential.acquire(request) for request in requests or (REQUEST,)])

    on_a_loop(main)
    return sent(results[-1])


def test_the_command_runs_only_when_a_request_asks(stage: Stage) -> None:
    credential = stage.capture()
    assert credential.at_hand(REQUEST) is None
    assert credential.tripwire() is None
    assert stage.runs == 0
    assert acquired(credential) == [(b"Authorization", f"Bearer {CANARY}".encode())]
    assert sent(credential.at_hand(REQUEST)) == [(b"Authorization", f"Bearer {CANARY}".encode())]
    assert stage.runs == 1


def test_what_is_kept_is_used_until_its_time_is_over(stage: Stage) -> None:
    credential = stage.capture(cache_ttl_s=10.0)
    acquired(credential)
    stage.now += 9.9
    acquired(credential)
    assert stage.runs == 1
    stage.now += 0.1
    assert credential.at_hand(REQUEST) is None
    acquired(credential)
    assert stage.runs == 2


def test_a_secret_that_is_in_use_stays_watched_whatever_else_is_printed() -> None:
    kept = cache.CapturedCache(60, lambda: 0.0, basic=False)
    for number in range(cache.MAX_WATCHED + 2):
        printed = read_output(Secret(f"{number:02}{CANARY}"), Capture("helper", ("sh",)), Inject())
        assert isinstance(printed, Captured)
        kept.keep(("api.example", str(number)), printed, 0.0)
        assert kept.get(("api.example", "0")) is not None
    tripwire = kept.tripwire()
    assert tripwire is not None
    for number, is_watched in ((0, True), (1, False), (cache.MAX_WATCHED + 1, True)):
        assert (tripwire.mask_text(f"{number:02}{CANARY}".encode()) is not None) is is_watched


def test_what_is_kept_for_no_time_is_not_shared_by_requests_of_one_moment(stage: Stage) -> None:
    credential = stage.capture(cache_ttl_s=0)

    async def main() -> None:
        async with anyio.create_task_group() as tasks:
            for _ in range(2):
                tasks.start_soon(credential.acquire, REQUEST)

    on_a_loop(main)
    assert stage.runs == 2


def test_nothing_is_kept_for_no_time(stage: Stage) -> None:
    credential = stage.capture(cache_ttl_s=0)
    acquired(credential, REQUEST, REQUEST)
    assert credential.at_hand(REQUEST) is None
    assert stage.runs == 2
    assert stage.actions() == ["captured", "captured"]
    tripwire = credential.tripwire()
    assert tripwire is not None
    assert tripwire.mask_text(f"it is {CANARY}!".encode()) is not None


@pytest.mark.parametrize(
    ("pattern", "other", "same"),
    [
        pytest.param("", REQUEST._replace(path="/other"), True, id="the host alone"),
        pytest.param("", REQUEST._replace(host="other.example"), False, id="another host"),
        pytest.param("^/repos/([^/]+)/", REQUEST._replace(path="/repos/a/c"), True, id="the group"),
        pytest.param("^/repos/([^/]+)/", REQUEST._replace(path="/repos/c/b"), False, id="another group"),
        pytest.param("^/repos/[^/]+/[^/]+", REQUEST._replace(path="/repos/a/b/c"), True, id="the match"),
        pytest.param("^/repos/[^/]+/[^/]+", REQUEST._replace(path="/repos/a/c"), False, id="another match"),
        pytest.param("^/repos/([^/]+)/", REQUEST._replace(path="/x?/repos/a/"), False, id="not the query"),
        pytest.param("x=.*", REQUEST._replace(path="/repos/a/b?x=2"), True, id="the query is not searched"),
        pytest.param("^/(n)?", REQUEST._replace(path="/m"), True, id="a group that is not there"),
    ],
)
def test_a_value_belongs_to_what_the_pattern_finds(
    stage: Stage, pattern: str, other: RequestFacts, same: bool
) -> None:
    credential = stage.capture(cache_path_regex=pattern)
    acquired(credential, REQUEST)
    assert (credential.at_hand(other) is not None) == same
    acquired(credential, other)
    assert stage.runs == (1 if same else 2)


@pytest.mark.parametrize("excess", [0, 1])
def test_a_path_too_long_for_the_pattern_has_no_credential(stage: Stage, excess: int) -> None:
    credential = stage.capture(cache_path_regex="^/([^/]+)")
    long = REQUEST._replace(path="/" + "a" * (MAX_PATH - 1 + excess))
    if not excess:
        acquired(credential, long)
        return
    with pytest.raises(CredentialUnavailable, match="longer than the 1024 characters"):
        acquired(credential, long)
    assert credential.at_hand(long) is None
    assert stage.runs == 0


def test_a_hundred_requests_at_once_run_it_once(stage: Stage) -> None:
    credential = stage.capture()

    async def main() -> None:
        async with anyio.create_task_group() as tasks:
            for _ in range(100):
                tasks.start_soon(credential.acquire, REQUEST)

    on_a_loop(main)
    assert stage.runs == 1
    assert sorted(map(str, stage.actions())) == ["cache_hit"] * 99 + ["captured"]


def test_no_more_than_a_few_run_at_once(stage: Stage, tmp_path: Path) -> None:
    (tmp_path / "now").mkdir()
    script = f"mkdir {tmp_path}/now/$$; ls {tmp_path}/now | wc -l >> {tmp_path}/most; sleep 0.05;"
    script += f"rmdir {tmp_path}/now/$$; echo {CANARY}"
    credential = stage.capture(script, cache_path_regex="^/.*")

    async def main() -> None:
        async with anyio.create_task_group() as tasks:
            for number in range(3 * capture_module.MAX_RUNNING):
                tasks.start_soon(credential.acquire, REQUEST._replace(path=f"/{number}"))

    on_a_loop(main)
    counts = list(map(int, (tmp_path / "most").read_text().split()))
    assert len(counts) == 3 * capture_module.MAX_RUNNING
    assert max(counts) <= capture_module.MAX_RUNNING


def test_the_child_cannot_fill_memory_with_scopes(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "MAX_ENTRIES", 3)
    credential = stage.capture(cache_path_regex="^/.*")
    requests = [REQUEST._replace(path=f"/{number}") for number in range(5)]
    acquired(credential, *requests)
    assert [credential.at_hand(request) is not None for request in requests] == [
        False,
        False,
        True,
        True,
        True,
    ]


def test_rejections_reread_a_value_at_a_limited_rate(stage: Stage) -> None:
    credential = stage.capture()
    acquired(credential)
    credential.rejected(REQUEST._replace(host="other.example"))
    assert credential.at_hand(REQUEST) is not None
    credential.rejected(REQUEST)
    assert credential.at_hand(REQUEST) is None
    acquired(credential)
    credential.rejected(REQUEST)  # perhaps of the value before, perhaps of an upstream that refuses them all
    assert credential.at_hand(REQUEST) is not None
    stage.now += cache.FORGET_INTERVAL_S
    credential.rejected(REQUEST)
    assert credential.at_hand(REQUEST) is None
    assert stage.runs == 2


def test_a_failure_is_not_kept(stage: Stage, tmp_path: Path) -> None:
    credential = stage.capture(f"[ -e {tmp_path}/unlocked ] && echo {CANARY}")
    with pytest.raises(CredentialUnavailable, match=r"cmd://helper: it failed \(exit status 1\)"):
        acquired(credential)
    (tmp_path / "unlocked").touch()
    acquired(credential)
    assert stage.actions() == ["command_failed", "captured"]


def test_a_request_that_goes_away_leaves_the_command_to_the_others(stage: Stage, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "go")
    credential = stage.capture(f"read x < {tmp_path}/go; echo {CANARY}", timeout_s=60.0)

    async def main() -> None:
        results: list[Injection] = []

        async def ask() -> None:
            results.append(await credential.acquire(REQUEST))

        async with anyio.create_task_group() as tasks:
            first = anyio.CancelScope()

            async def leave() -> None:
                with first:
                    await credential.acquire(REQUEST)

            tasks.start_soon(leave)
            await anyio.wait_all_tasks_blocked()
            tasks.start_soon(ask)
            await anyio.wait_all_tasks_blocked()
            first.cancel()
            await anyio.to_thread.run_sync((tmp_path / "go").write_text, "go\n")
        assert len(results) == 1

    on_a_loop(main)
    assert stage.runs == 1


def test_what_cannot_be_recorded_is_not_used(stage: Stage) -> None:
    credential = stage.capture()
    stage.report_error = OSError(28, "No space left on device")
    with pytest.raises(OSError, match="No space left"):
        acquired(credential)
    assert credential.at_hand(REQUEST) is None


def test_the_command_learns_of_the_request(stage: Stage, tmp_path: Path) -> None:
    script = f"env | grep -E '^(NONO_|HTTP)' | sort > {tmp_path}/env; cat > {tmp_path}/stdin; echo {CANARY}"
    facts = {
        "session_id": "a-session",
        "request_host": "api.example",
        "request_path": "/repos/a/b?x=1",
        "request_method": "GET",
        "cache_scope": "a",
        "capture_credential": "helper",
        "capture_route": "gh",
    }
    acquired(stage.capture(script, cache_path_regex="/repos/([^/]+)", stdin="request_json"))
    assert json.loads((tmp_path / "stdin").read_text()) == facts
    expected = sorted(f"NONO_{name.upper()}={value}" for name, value in facts.items())
    assert (tmp_path / "env").read_text().splitlines() == expected
    acquired(stage.capture(script))
    assert (tmp_path / "stdin").read_text() == ""


@pytest.mark.parametrize(
    ("argument", "expanded"),
    [
        ("$MY_TOKEN", "expanded"),
        ("${MY_TOKEN}", "expanded"),
        ("$MY_TOKEN/bin", "expanded/bin"),
        ("X=$MY_TOKEN", "X=expanded"),
        ("a $MY_TOKEN", "a $MY_TOKEN"),
        ("$MY_TOKEN;x", "$MY_TOKEN;x"),
        ("$(id)", "$(id)"),
        ("${MY_TOKEN", "${MY_TOKEN"),
        ("$", "$"),
        ("--x=$MY_TOKEN", "--x=$MY_TOKEN"),
    ],
)
def test_a_variable_stands_for_a_whole_argument_a_path_or_an_assignment(
    stage: Stage, argument: str, expanded: str
) -> None:
    credential = stage.of(Capture("helper", ("printf", "%s", argument)), Inject(format="{}"))
    assert acquired(credential) == [(b"Authorization", expanded.encode())]
    assert stage.recorded()[0]["credential_capture_argv"] == ("printf", "%s", argument)


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        (Capture("helper", ("absent-program",)), "not installed"),
        (Capture("helper", ("./relative",)), "relative"),
        (Capture("helper", ("/nonexistent/program",)), "does not exist"),
        (Capture("helper", ("echo", "$UNSET_VARIABLE")), "UNSET_VARIABLE is not set"),
        (Capture("helper", ("$UNSET_VARIABLE",)), "UNSET_VARIABLE is not set"),
    ],
    ids=["absent", "relative", "missing", "unset", "unset program"],
)
def test_a_command_that_cannot_run_is_unavailable_from_the_start(
    stage: Stage, settings: Capture, problem: str
) -> None:
    with pytest.raises(CredentialUnavailable, match=f"cmd://helper: .*{problem}"):
        stage.of(settings)


@pytest.mark.parametrize(
    ("settings", "inject", "problem"),
    [
        (Capture("helper", ()), Inject(), "command is empty"),
        (Capture("helper", ("true",), cache_path_regex="("), Inject(), "regular expression"),
        (Capture("helper", ("true",), cache_path_regex="^(a+)+$"), Inject(), "repeats a group"),
        (Capture("helper", ("true",), allow_headers=()), Inject(), "must name a header"),
        (Capture("helper", ("true",), allow_headers=("Host",)), Inject(), "steers"),
        (Capture("helper", ("true",), allow_headers=("Proxy-Authorization",)), Inject(), "steers"),
        (Capture("helper", ("true",), allow_headers=("a b",)), Inject(), "not the name of a header"),
        (
            Capture("helper", ("true",), allow_headers=("X",)),
            Inject("query_param"),
            "inject mode is query_param",
        ),
        (Capture("helper", ("true",)), Inject(format="no place"), "credential_format"),
        (Capture("helper", ("true",)), Inject(header="Host"), "steers"),
    ],
)
def test_a_configuration_that_fits_no_output_is_refused(
    stage: Stage, settings: Capture, inject: Inject, problem: str
) -> None:
    with pytest.raises(CredentialError, match=problem):
        stage.of(settings, inject)


FAILURES: dict[str, tuple[str, str, str]] = {
    "exit status": (f"echo {CANARY}; echo '{CANARY}: no' >&2; exit 3", "command_failed", "exit status 3"),
    "signal": (f"echo {CANARY}; kill -KILL $$", "command_failed", "exit status -9"),
    "too slow": (f"echo {CANARY}; exec sleep 1000", "timeout", "did not answer within 0.7 s"),
    "too much": (f"yes {CANARY}", "output_too_large", "64 KiB"),
    "lost": (f"echo {CANARY}; kill -KILL $PPID", "wait_failed", "could not be learnt"),
    "nothing": ("true", "empty_stdout", "printed nothing"),
    "line ends": (r"printf '\r\n\n'", "empty_stdout", "printed nothing"),
    "no UTF-8": (rf"printf '{CANARY}\377'", "non_utf8_stdout", "not UTF-8"),
    "two lines": (rf"printf '{CANARY}\nsecond'", "collect_failed", "control characters"),
    "NUL": (rf"printf '{CANARY}\000x'", "collect_failed", "control characters"),
    "no Latin-1": (f"echo {CANARY}€", "collect_failed", "a header cannot carry"),
    "blanks": (f"echo ' {CANARY}'", "collect_failed", "blanks"),
}


@pytest.mark.parametrize("name", FAILURES)
def test_a_failure_is_recorded_by_its_kind_without_the_output(stage: Stage, name: str) -> None:
    script, action, problem = FAILURES[name]
    timeout_s = 0.7 if action == "timeout" else 60.0
    with pytest.raises(CredentialUnavailable, match=re.escape(problem)) as caught:
        acquired(stage.capture(script, Inject(format="{}"), timeout_s=timeout_s))
    assert CANARY not in f"{caught.value!r}{caught.value.hint}"
    (event,) = stage.recorded()
    assert event["credential_capture_action"] == action
    assert event["decision"] == "deny"
    assert event["denial_category"] == "managed_credential_unavailable"
    assert problem in str(event["reason"])


def test_a_program_that_is_gone_when_it_is_needed_is_recorded(stage: Stage, tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    credential = stage.of(Capture("helper", (str(program),)))
    program.unlink()
    with pytest.raises(CredentialUnavailable, match="could not be started: No such file"):
        acquired(credential)
    assert stage.actions() == ["spawn_failed"]


def test_the_record_tells_the_whole_run_without_its_secrets(stage: Stage) -> None:
    settings = Capture("helper", ("printf", "%s%s", "--token", "t0ken"))
    request = REQUEST._replace(path="/a?x=t0ken", recorded="/gh/a?x=[REDACTED]")
    acquired(stage.of(settings), request)
    (event,) = stage.recorded()
    assert isinstance(event.pop("timestamp_unix_ms"), int)
    assert isinstance(event.pop("credential_capture_duration_ms"), int)
    argv = event.pop("credential_capture_argv")
    assert argv == ("printf", "%s%s", "--token", "[REDACTED]")
    assert list(event.items()) == [
        ("mode", "reverse"),
        ("decision", "allow"),
        ("route_id", "gh"),
        ("managed_credential_active", True),
        ("credential_capture_action", "captured"),
        ("credential_capture_name", "helper"),
        ("credential_capture_command", event["credential_capture_command"]),
        ("credential_capture_exit_status", 0),
        ("credential_capture_stdout_bytes", len("--tokent0ken")),
        ("credential_capture_cache_scope", "api.example"),
        ("credential_capture_output_format", "text"),
        ("credential_capture_stdin_mode", "null"),
        ("credential_capture_interactive", False),
        ("target", "gh"),
        ("upstream", "api.example"),
        ("port", 443),
        ("method", "GET"),
        ("path", "/gh/a?x=[REDACTED]"),
        ("status", None),
        ("reason", None),
    ]


def test_a_failure_passes_the_recorder_that_deduplicates_refusals(stage: Stage) -> None:
    credential = stage.capture("exit 1")
    with pytest.raises(CredentialUnavailable):
        acquired(credential)
    written: list[Event] = []
    recorder = DedupRecorder(written.append, lambda: 0.0)
    for _ in range(2):
        recorder(stage.events[0])
    recorder.drain()
    assert written[0] is stage.events[0]
    assert json.loads(json.dumps(written[1]))["event"]["repeats"] == 1


HEADERS = Capture("helper", ("true",), allow_headers=("Authorization", "X-Extra"))


@pytest.mark.parametrize(
    ("printed", "fields"),
    [
        ('{"headers": {"Authorization": "Bearer x"}}', [(b"Authorization", b"Bearer x")]),
        (
            '{"headers": {"AUTHORIZATION": "x", "x-extra": "y"}}\n',
            [(b"AUTHORIZATION", b"x"), (b"x-extra", b"y")],
        ),
    ],
)
def test_the_headers_that_are_allowed_are_injected(printed: str, fields: list[tuple[bytes, bytes]]) -> None:
    captured = read_output(Secret(printed), HEADERS, Inject())
    assert isinstance(captured, Captured)
    assert sent(captured.injection) == fields
    assert captured.header_names == tuple(name.decode().lower() for name, _ in fields)
    assert len(captured.secrets) == len(fields)


@pytest.mark.parametrize(
    "printed",
    [
        CANARY,
        "null",
        "[]",
        "{}",
        '{"headers": {}}',
        '{"headers": []}',
        '{"headers": null}',
        f'{{"headers": {{"Authorization": "{CANARY}"}}, "more": 1}}',
        f'{{"headers": {{"Authorization": "{CANARY}"}}, "headers": {{"X-Extra": "y"}}}}',
        f'{{"headers": {{"Authorization": "{CANARY}", "authorization": "y"}}}}',
        f'{{"headers": {{"{CANARY}": "Authorization"}}}}',
        f'{{"headers": {{"Cookie": "{CANARY}"}}}}',
        f'{{"headers": {{"Host": "{CANARY}"}}}}',
        '{"headers": {"Authorization": ""}}',
        '{"headers": {"Authorization": 1}}',
        '{"headers": {"Authorization": {"a": "b"}}}',
        f'{{"headers": {{"Authorization": ["{CANARY}"]}}}}',
        f'{{"headers": {{"Authorization": "{CANARY}\\r\\nX: y"}}}}',
        f'{{"headers": {{"Authorization": "{CANARY}\\u0000"}}}}',
        f'{{"headers": {{"Authorization": "{CANARY}\\ud800"}}}}',
        f'{{"headers": {{"Authorization ": "{CANARY}"}}}}',
        f'{{"headers": {{"Authorization": "{CANARY}"}}}} trailing',
        "[" * 60000,
    ],
)
def test_other_json_is_refused_without_being_quoted(printed: str) -> None:
    refused = read_output(Secret(printed), HEADERS, Inject())
    assert isinstance(refused, Unusable)
    assert refused.action == "invalid_json_output"
    assert CANARY not in refused.problem


def test_json_headers_of_a_request_are_recorded_by_name_only(stage: Stage) -> None:
    printed = json.dumps({"headers": {"Authorization": f"Bearer {CANARY}", "X-Extra": "0123456789"}})
    credential = stage.capture(f"echo '{printed}'", allow_headers=("authorization", "x-extra"))
    assert acquired(credential) == [
        (b"Authorization", f"Bearer {CANARY}".encode()),
        (b"X-Extra", b"0123456789"),
    ]
    (event,) = stage.recorded()
    assert event["credential_capture_header_names"] == ("authorization", "x-extra")
    assert event["credential_capture_output_format"] == "json"
    tripwire = credential.tripwire()
    assert tripwire is not None
    assert tripwire.mask_text(f"token={CANARY}".encode()) is not None
    assert tripwire.mask_text(b"something else") is None


def test_a_provider_is_handed_its_configuration_with_the_request(stage: Stage, tmp_path: Path) -> None:
    printed = json.dumps({"material": {"type": "secret", "value": CANARY}})
    credential = stage.capture(
        f"cat > {tmp_path}/stdin; echo '{printed}'", provider_config='{"role": "agent"}'
    )
    assert acquired(credential) == [(b"Authorization", f"Bearer {CANARY}".encode())]
    assert json.loads((tmp_path / "stdin").read_text()) == {
        "protocol": "nono.credential-provider.v1",
        "session_id": "a-session",
        "request_host": "api.example",
        "request_path": "/repos/a/b?x=1",
        "request_method": "GET",
        "cache_scope": "api.example",
        "capture_credential": "helper",
        "capture_route": "gh",
        "config": {"role": "agent"},
        "interaction": {},
    }
    (event,) = stage.recorded()
    assert event["credential_capture_output_format"] == "json"
    assert event["credential_capture_stdin_mode"] == "request_json"


PROVIDER = Capture("helper", ("sh",), provider_config="{}")


def test_a_provider_gives_a_secret_or_the_headers_that_are_allowed() -> None:
    printed = json.dumps({"material": {"type": "secret", "value": CANARY}})
    secret = read_output(Secret(printed), PROVIDER, Inject("query_param", query_param="k"))
    assert isinstance(secret, Captured)
    assert secret.header_names == ()
    assert CANARY.encode() in secret.injection.inject(Outgoing(b"GET", b"/", b"api.example", [])).target
    printed = json.dumps({"material": {"type": "headers", "headers": {"X-Key": CANARY}}})
    headers = read_output(Secret(printed), PROVIDER._replace(allow_headers=("x-key",)), Inject())
    assert isinstance(headers, Captured)
    assert sent(headers.injection) == [(b"X-Key", CANARY.encode())]
    assert headers.header_names == ("x-key",)
    refused = read_output(Secret(printed), PROVIDER, Inject())
    assert isinstance(refused, Unusable)
    assert "allow_headers" in refused.problem


@pytest.mark.parametrize(
    "material",
    [
        {"value": CANARY, "type": "secret"},
        {"headers": {"Authorization": f"Bearer {CANARY}"}, "type": "headers"},
    ],
    ids=["secret", "headers"],
)
def test_a_provider_prints_its_material_in_any_order(material: dict[str, object]) -> None:
    """Go, and whatever else sorts names, has headers before type."""
    capture = PROVIDER._replace(allow_headers=("authorization",))
    captured = read_output(Secret(json.dumps({"material": material})), capture, Inject())
    assert isinstance(captured, Captured)
    assert sent(captured.injection) == [(b"Authorization", f"Bearer {CANARY}".encode())]


@pytest.mark.parametrize(
    "printed",
    [
        CANARY,
        "[]",
        "{}",
        f'{{"headers": {{"Authorization": "{CANARY}"}}}}',
        f'{{"material": "{CANARY}"}}',
        f'{{"material": {{"type": "secret", "value": ["{CANARY}"]}}}}',
        f'{{"material": {{"type": "secret", "value": "{CANARY}", "value": "x"}}}}',
        f'{{"material": {{"type": "secret", "value": "{CANARY}", "more": 1}}}}',
        f'{{"material": {{"type": "secret", "type": "headers", "value": "{CANARY}"}}}}',
        f'{{"material": {{"type": "token", "value": "{CANARY}"}}}}',
        f'{{"material": {{"value": "{CANARY}"}}}}',
        f'{{"material": {{"type": "headers", "headers": {{"Cookie": "{CANARY}"}}}}}}',
        '{"material": {"type": "headers", "headers": {}}}',
        '{"material": {"type": "secret", "value": ""}}',
        f'{{"material": {{"type": "secret", "value": "{CANARY}\\n"}}}}',
        f'{{"material": {{"type": "secret", "value": "{CANARY}\\ud800"}}}}',
        "[" * 60000,
    ],
)
def test_other_material_is_refused_without_being_quoted(printed: str) -> None:
    refused = read_output(Secret(printed), PROVIDER._replace(allow_headers=("authorization",)), Inject())
    assert isinstance(refused, Unusable)
    assert refused.action in ("invalid_json_output", "collect_failed")
    assert CANARY not in refused.problem
