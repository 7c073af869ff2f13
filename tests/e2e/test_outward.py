"""Runs whose audit log is anchored and sent to a collector meanwhile, and logs exported afterwards."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from shutil import rmtree
from typing import Any

import pytest
from cryptography.x509 import load_pem_x509_certificates

from nono.credentials.signing.key import new_key
from nono.outward.tail import Tail
from nono.outward.verification import AnchorVerdict, verify_anchors
from nono.trust.dsse import PublicKey
from support.nono_run import NO_NAMESPACES, PROXY_ONLY, NonoRun
from support.outward.collector import Collector, collector
from support.outward.timestamps import Authority, authority
from support.ports import unused_port
from support.sessions.records import nono

OPEN: Mapping[str, object] = {}


@pytest.fixture(scope="module")
def clock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Authority]:
    with authority(tmp_path_factory.mktemp("tsa")) as served:
        yield served


@pytest.fixture
def sink() -> Iterator[Collector]:
    with collector() as served:
        yield served


def verdict(log: Path, clock: Authority, keys: Sequence[PublicKey] = ()) -> AnchorVerdict:
    session = os.open(log.parent, os.O_RDONLY)
    try:
        with Tail(session) as tail:
            roots = load_pem_x509_certificates(clock.ca.read_bytes())
            return verify_anchors(str(log.parent), [*tail.records()], roots, keys)
    finally:
        os.close(session)


def lines(log: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.read_text().splitlines()]


def children(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def recorded(sandbox: NonoRun, kind: str) -> bool:
    """Return True if a log has such a record; the last one of a run that goes on may be half written."""
    whole = (
        line for log in sandbox.logs() for line in log.read_text().splitlines(True) if line.endswith("\n")
    )
    return any(json.loads(line)["event"]["type"] == kind for line in whole)


def wait_until(holds: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 30
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


@pytest.mark.parametrize("profile", [PROXY_ONLY, OPEN], ids=["proxied", "without proxy"])
def test_a_run_is_anchored_and_sent_whole(
    sandbox: NonoRun, clock: Authority, sink: Collector, profile: Mapping[str, object]
) -> None:
    key = new_key()
    file = sandbox.user.home / "audit.key"
    file.write_text(key.secret().reveal())
    file.chmod(0o600)
    own = f"key:file://{sandbox.give(file)}"
    flags = [f"--audit-anchor=rfc3161:{clock.url}", f"--audit-anchor={own}"]
    flags += ["--audit-anchor-required", f"--audit-otlp={sink.url}"]
    ended = sandbox.run(["true"], profile=profile, flags=flags)
    assert ended.exit_code == 0
    (log,) = sandbox.logs()
    whole = lines(log)
    proved = verdict(log, clock, [key.public])
    assert proved.problems == ()
    assert [each.by for each in proved.anchored if each.records == len(whole)] == [
        "CN=clock",
        f"key {key.public.fingerprint}",
    ]
    assert [event["anchor"] for event in ended.events if event["type"] == "audit_anchored"] == [
        f"rfc3161:{clock.url}",
        own,
    ]
    assert sink.numbers() == [line["sequence"] for line in whole]
    assert [each["nono.audit.chain_hash"] for each in sink.records] == [line["chain_hash"] for line in whole]


def test_a_log_is_sent_whole_where_a_command_leaves_a_process(sandbox: NonoRun, sink: Collector) -> None:
    """What ends that process spares what carries the log."""
    command = ["sh", "-c", "sleep 600 >/dev/null 2>&1 &"]
    assert sandbox.run(command, profile=OPEN, flags=[f"--audit-otlp={sink.url}"]).exit_code == 0
    (log,) = sandbox.logs()
    assert sink.numbers() == [line["sequence"] for line in lines(log)]
    assert not recorded(sandbox, "audit_carrier_ended")


def test_nothing_is_started_without_an_anchor_that_is_required(sandbox: NonoRun) -> None:
    anchor = f"rfc3161:http://127.0.0.1:{unused_port()}/"
    ended = sandbox.run(["touch", "made"], flags=[f"--audit-anchor={anchor}", "--audit-anchor-required"])
    assert (ended.exit_code, (sandbox.project / "made").exists()) == (126, False)
    (refused,) = [event for event in ended.events if event["type"] == "audit_not_anchored"]
    assert refused["anchor"] == anchor
    said = " ".join(ended.stderr.split())
    assert f"the audit log cannot be anchored at {anchor}, so nothing was started: {refused['why']}." in said
    assert "was not anchored" not in said


def test_who_wants_quiet_is_told_why_a_required_anchor_is_missing(sandbox: NonoRun) -> None:
    flags = ["--silent", "--audit-anchor=key:keystore://nobody", "--audit-anchor-required"]
    ended = sandbox.run(["touch", "made"], flags=flags)
    assert (ended.exit_code, (sandbox.project / "made").exists()) == (126, False)
    assert "nothing was started: signing key 'nobody' is not in" in " ".join(ended.stderr.split())


def test_a_run_goes_on_without_anchor_or_collector_and_says_so(sandbox: NonoRun) -> None:
    gone = f"http://127.0.0.1:{unused_port()}"
    flags = [f"--audit-anchor=rfc3161:{gone}", f"--audit-otlp={gone}"]
    with sandbox.started(["sh", "-c", "read line; touch made"], flags=flags) as run:
        assert wait_until(
            lambda: recorded(sandbox, "audit_not_anchored") and recorded(sandbox, "audit_not_sent")
        )
        _, said = run.communicate("\n")
    assert (run.returncode, (sandbox.project / "made").exists()) == (0, True)
    assert f"not anchored at rfc3161:{gone}" in said
    assert f"not sent to {gone}" in said


def test_a_person_need_not_wait_for_a_collector_that_hangs(sandbox: NonoRun, sink: Collector) -> None:
    hangs = threading.Event()
    sink.answer = lambda records: 200 if hangs.wait(30) else 503
    try:
        with sandbox.started(["true"], flags=[f"--audit-otlp={sink.url}"]) as run:
            assert run.stderr is not None
            assert any("waiting for the audit log" in line for line in run.stderr)
            run.send_signal(signal.SIGINT)
            assert run.wait(20) == 0
            assert not hangs.is_set()
    finally:
        hangs.set()


def test_a_carrier_that_is_killed_is_recorded(sandbox: NonoRun, sink: Collector) -> None:
    flags = [f"--audit-otlp={sink.url}", NO_NAMESPACES]
    with sandbox.started(["sh", "-c", "read line"], flags=flags) as run:
        sink.wait(lambda: len(sink.records) > 0)
        # The only child of the supervisor that leads a session.
        (carrier,) = [pid for pid in children(run.pid) if os.getsid(pid) == pid]
        os.kill(carrier, signal.SIGKILL)
        assert wait_until(lambda: recorded(sandbox, "audit_carrier_ended"))
        _, said = run.communicate("\n")
    assert (run.returncode, "neither anchored nor sent any more" in said) == (0, True)


def test_what_a_collector_missed_is_sent_with_the_next_run(sandbox: NonoRun, sink: Collector) -> None:
    sink.answer = lambda records: 503
    sandbox.run(["true"], profile=OPEN, flags=[f"--audit-otlp={sink.url}"])
    (first,) = sandbox.logs()
    assert sink.records == []
    sink.answer = lambda records: 200
    sandbox.run(["true"], profile=OPEN, flags=[f"--audit-otlp={sink.url}"])
    assert sink.numbers(first.parent.name) == [line["sequence"] for line in lines(first)]


def test_killing_the_supervisor_shortens_no_history(
    sandbox: NonoRun, clock: Authority, sink: Collector
) -> None:
    flags = [f"--audit-anchor=rfc3161:{clock.url}", f"--audit-otlp={sink.url}"]
    with sandbox.started(["sh", "-c", "echo up; sleep 60"], flags=flags) as run:
        assert run.stdout is not None
        assert run.stdout.readline() == "up\n"
        sink.wait(lambda: any(each["event_name"] == "nono.audit.session_started" for each in sink.records))
        os.kill(run.pid, signal.SIGKILL)
        run.wait()
        (log,) = sandbox.logs()
        whole = lines(log)
        sink.wait(lambda: sink.numbers() == [line["sequence"] for line in whole])
    assert wait_until(lambda: verdict(log, clock).records == len(whole))
    log.write_text("".join(log.read_text().splitlines(keepends=True)[:-1]))
    assert "1 are missing at its end" in verdict(log, clock).problems[0]


def test_the_command_cannot_reach_what_carries_its_log(sandbox: NonoRun, sink: Collector) -> None:
    script = "cat $HOME/.local/state/nono/audit/*/otlp-*.json; kill -9 -1; echo still here"
    ended = sandbox.run(["sh", "-c", script], flags=[f"--audit-otlp={sink.url}", NO_NAMESPACES])
    assert '"sent"' not in ended.stdout
    (log,) = sandbox.logs()
    assert sink.numbers() == [line["sequence"] for line in lines(log)]


def test_nothing_of_a_secret_leaves(sandbox: NonoRun, sink: Collector) -> None:
    config = sandbox.user.home / ".config/nono/config.toml"
    config.parent.mkdir(parents=True)
    config.write_text(f'[audit]\notlp = "{sink.url}"\n')
    for path in (config.parent.parent, config.parent, config):
        sandbox.give(path)
    sandbox.run(["true", "--token", "canary-4711"], profile=OPEN)
    assert sink.records
    assert "canary-4711" not in json.dumps(sink.records)


def test_the_command_does_not_get_the_login_of_the_collector(sandbox: NonoRun, sink: Collector) -> None:
    login = {"OTEL_EXPORTER_OTLP_HEADERS": "x-login=canary-4712"}
    ended = sandbox.run(["env"], profile=OPEN, flags=[f"--audit-otlp={sink.url}"], environment=login)
    assert sink.headers[0]["x-login"] == "canary-4712"
    assert "canary-4712" not in ended.stdout


@pytest.mark.parametrize(
    ("variable", "words"),
    [
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "it could choose whom nono trusts with its log"),
        ("OTEL_EXPORTER_OTLP_CLIENT_KEY", "--audit-otlp: the key lies in a granted directory"),
    ],
)
def test_the_command_cannot_choose_who_is_the_collector(sandbox: NonoRun, variable: str, words: str) -> None:
    file = sandbox.project / "file.pem"
    file.touch()
    environment = {variable: str(sandbox.give(file))}
    flags = ["--audit-otlp=https://otel.example"]
    ended = sandbox.run(["true"], profile=OPEN, flags=flags, environment=environment)
    assert (ended.exit_code, words in " ".join(ended.stderr.split())) == (1, True)


def test_a_key_that_the_command_could_read_anchors_nothing(sandbox: NonoRun) -> None:
    key = sandbox.project / "audit.key"
    key.write_text(new_key().secret().reveal())
    ended = sandbox.run(["true"], profile=OPEN, flags=[f"--audit-anchor=key:file://{sandbox.give(key)}"])
    assert ended.exit_code == 1
    assert "--audit-anchor: the key lies in a granted directory" in ended.stderr


def test_a_flag_that_needs_the_log_contradicts_no_audit(sandbox: NonoRun) -> None:
    ended = sandbox.run(["true"], flags=["--no-audit", "--audit-otlp=http://127.0.0.1:1"])
    assert ended.exit_code == 2
    assert "--audit-otlp and --no-audit contradict each other" in ended.stderr


def test_a_log_is_exported_record_by_record(sandbox: NonoRun) -> None:
    sandbox.run(["true"], profile=OPEN)
    (log,) = sandbox.logs()
    out = nono(sandbox, "audit", "export", "latest", "--format=ocsf").stdout
    exported = [json.loads(line)["unmapped"]["nono"]["chain_hash"] for line in out.splitlines()]
    assert exported == [line["chain_hash"] for line in lines(log)]


def test_verifying_a_session_checks_its_anchors(sandbox: NonoRun, clock: Authority) -> None:
    anchor = f"--audit-anchor=rfc3161:{clock.url}"
    sandbox.run(["true"], profile=OPEN, flags=[anchor, "--audit-anchor-required"])
    (log,) = sandbox.logs()
    ca = sandbox.user.home / "authority.pem"
    ca.write_bytes(clock.ca.read_bytes())
    flags = ["latest", f"--anchor-ca={sandbox.give(ca)}"]
    verified = nono(sandbox, "audit", "verify", *flags)
    assert (verified.returncode, "by CN=clock at" in verified.stdout) == (0, True), verified.stdout
    # Whoever cuts the log removes what else says how long it was.
    (log.parent / "session.json").unlink()
    log.write_text("".join(log.read_text().splitlines(keepends=True)[:-1]))
    cut = json.loads(nono(sandbox, "audit", "verify", *flags, "--json").stdout)
    assert [each for each in cut["problems"] if "missing at its end" in each] == cut["anchors"]["problems"]
    rmtree(log.parent / "anchors")
    gone = nono(sandbox, "audit", "verify", *flags)
    assert (gone.returncode, "the log says that it was there" in " ".join(gone.stdout.split())) == (1, True)
