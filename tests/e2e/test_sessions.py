"""Every supervised run is a session, whose record outlives whoever ends it."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from support.nono_run import NO_NAMESPACES, TIMEOUT_S, NonoRun, nono_run
from support.sessions.detached import has_ended, wait_until
from support.sessions.records import directory, leftovers, record_of, records
from support.terminal import terminal

NO_PROXY: dict[str, Any] = {}


@pytest.fixture(scope="module")
def sandbox() -> Iterator[NonoRun]:
    with nono_run() as runner:
        yield runner


def newest(sandbox: NonoRun) -> dict[str, Any]:
    return records(sandbox.user)[0]


def test_a_record_says_what_ran(sandbox: NonoRun) -> None:
    ended = sandbox.run(["sh", "-c", "exit 3"], flags=["--name=three"])
    record = record_of(sandbox.user, "three")
    assert ended.exit_code == record["exit_code"] == 3
    assert record["end"] == {"cause": "exit", "signal": None, "by": "the command itself", "detail": None}
    assert record["command"] == ["sh", "-c", "exit 3"]
    assert record["network"].startswith("proxy (localhost:")
    assert (record["profile"], record["workdir"]) == (
        str(sandbox.user.home / "profile.json"),
        str(sandbox.project),
    )


def test_the_record_and_the_audit_log_have_one_id(sandbox: NonoRun) -> None:
    before = {*sandbox.logs()}
    sandbox.run(["true"], profile=NO_PROXY)
    (log,) = {*sandbox.logs()} - before
    record = newest(sandbox)
    assert log.parent.name == record["session_id"] == record["rollback_session"]


@pytest.mark.parametrize(
    ("script", "cause", "number"),
    [
        ("exit 3", "exit", None),
        ("ulimit -f 1; exec dd if=/dev/zero of=large bs=4096 count=9", "limit", "SIGXFSZ"),
        ("kill -PIPE $$", "signal", "SIGPIPE"),
    ],
)
@pytest.mark.parametrize("flags", [(), (NO_NAMESPACES,)], ids=["its own namespaces", "none"])
def test_the_end_in_the_audit_log_is_that_of_the_record(
    flags: tuple[str, ...], script: str, cause: str, number: str | None, sandbox: NonoRun
) -> None:
    ended = sandbox.run(["sh", "-c", script], profile=NO_PROXY, flags=flags)
    end = newest(sandbox)["end"]
    assert (end["cause"], end["signal"]) == (cause, number)
    assert ended.events[-1]["end"] == end


def test_a_run_that_never_started_says_why_in_its_log(sandbox: NonoRun) -> None:
    script = sandbox.project / "no-interpreter"
    script.write_text("#!/nowhere\n")
    script.chmod(0o755)
    assert sandbox.run([str(script)], profile=NO_PROXY).events[-1]["end"]["cause"] == "not_started"


def test_without_an_audit_log_there_is_a_record(sandbox: NonoRun) -> None:
    sandbox.run(["true"], profile=NO_PROXY, flags=["--no-audit", "--name=unaudited"])
    assert record_of(sandbox.user, "unaudited")["rollback_session"] is None


def test_the_record_is_there_before_the_command_starts(sandbox: NonoRun) -> None:
    with sandbox.started(["sh", "-c", "echo up; read line"], flags=["--name=early"]) as run:
        record = record_of(sandbox.user, "early")
        assert (record["status"], record["supervisor_pid"]) == ("running", run.pid)
        run.communicate("\n", timeout=TIMEOUT_S)


def test_secrets_of_the_command_line_are_masked(sandbox: NonoRun) -> None:
    sandbox.run(["true", "--token", "abcdef123456"], profile=NO_PROXY)
    assert newest(sandbox)["command"] == ["true", "--token", "[REDACTED]"]


def test_a_run_that_never_started_says_why(sandbox: NonoRun) -> None:
    script = sandbox.project / "no-interpreter"
    script.write_text("#!/nowhere\n")
    script.chmod(0o755)
    ended = sandbox.run([str(script)], profile=NO_PROXY)
    record = newest(sandbox)
    assert ended.exit_code == record["exit_code"] == 127
    assert record["end"]["cause"] == "not_started"


@pytest.mark.parametrize("flags", [(), (NO_NAMESPACES,)], ids=["its own namespaces", "none"])
def test_a_signal_has_its_sender(flags: tuple[str, ...], sandbox: NonoRun) -> None:
    with sandbox.started(["sh", "-c", "echo up; read line"], flags=flags) as run:
        assert run.stdout is not None
        assert run.stdout.readline() == "up\n"
        run.send_signal(signal.SIGTERM)
        assert run.wait(TIMEOUT_S) == 128 + signal.SIGTERM
    end = newest(sandbox)["end"]
    assert (end["cause"], end["signal"]) == ("signal", "SIGTERM")
    assert end["by"].endswith(f"(pid {os.getpid()}, uid {os.getuid()})")


@pytest.mark.parametrize("leads", [True, False], ids=["nono alone is in it", "a shell is in it"])
@pytest.mark.parametrize("flags", [(), (NO_NAMESPACES,)], ids=["its own namespaces", "none"])
def test_a_closed_terminal_ends_a_command_that_shares_it(
    flags: tuple[str, ...], leads: bool, sandbox: NonoRun
) -> None:
    argv = sandbox.argv(
        ["sh", "-c", "echo up; exec sleep 987"], profile=NO_PROXY, flags=["--name=shown", *flags]
    )
    # With another standard input it has no terminal of its own.
    if leads:
        argv = ["/bin/bash", "-c", 'exec "$@" < /dev/null', "-", *argv]
    else:
        argv = ["/bin/bash", "-i", "-c", '"$@" < /dev/null; exit $?', "-", *argv]
    with terminal(argv, sandbox.user.environment({"TERM": "dumb"}), sandbox.project) as person:
        person.wait_for(b"\nup\r\n" if leads else b"up\r\n")
        record = record_of(sandbox.user, "shown")
        os.close(person.master)
        person.master = os.open(os.devnull, os.O_RDWR)
        person.process.wait(TIMEOUT_S)
    wait_until(lambda: record_of(sandbox.user, "shown")["status"] == "exited", "it goes on")
    assert has_ended(record["child_pid"])
    end = record_of(sandbox.user, "shown")["end"]
    assert (end["cause"], end["signal"]) == ("terminal_closed", "SIGHUP"), end


def test_a_command_that_kills_itself_leaves_no_author(sandbox: NonoRun) -> None:
    sandbox.run(["sh", "-c", "kill -9 $$"], profile=NO_PROXY)
    assert newest(sandbox)["end"] == {"cause": "signal", "signal": "SIGKILL", "by": None, "detail": None}


def test_nothing_is_left_beside_a_record(sandbox: NonoRun) -> None:
    sandbox.run(["true"])
    assert leftovers(sandbox.user) == []


@pytest.mark.parametrize("is_moved", [False, True], ids=["in place", "moved"])
def test_a_run_whose_record_was_taken_away_says_so_at_its_end(sandbox: NonoRun, is_moved: bool) -> None:
    place, name = directory(sandbox.user), f"taken-{is_moved}"
    with sandbox.started(["cat"], profile=NO_PROXY, flags=[f"--name={name}"]) as run:
        wait_until(lambda: any(each["name"] == name for each in records(sandbox.user)), "nothing is recorded")
        if is_moved:
            place.rename(place.with_name("elsewhere"))
        said = run.communicate("", timeout=TIMEOUT_S)[1]
    assert (run.returncode, f"somebody has moved or removed {place}" in said) == (0, is_moved)
    if is_moved:
        place.with_name("elsewhere").rename(place)


def test_a_command_does_not_see_the_sessions(sandbox: NonoRun) -> None:
    path = directory(sandbox.user)
    ended = sandbox.run(["sh", "-c", f"ls {path}; echo x > {path}/planted.json; cat {path}/*.json"])
    assert ended.exit_code != 0
    assert ended.stdout == ""
    assert not (path / "planted.json").exists()


@pytest.mark.parametrize(("name", "is_told"), [("d3", True), ("cafe", True), ("web", False), ("d-3", False)])
def test_a_name_that_reads_as_an_id_is_warned_about(name: str, is_told: bool, sandbox: NonoRun) -> None:
    run = sandbox.run(["true"], profile=NO_PROXY, flags=[f"--name={name}"])
    assert run.exit_code == 0
    assert ("could be the beginning of another session's id" in run.stderr) is is_told


def test_a_name_is_refused_where_nothing_can_be_recorded(sandbox: NonoRun) -> None:
    state = sandbox.user.home / "state"
    state.mkdir()
    (state / "nono").write_text("in the way")
    environment = {"XDG_STATE_HOME": str(state)}
    named = sandbox.run(
        ["true"], profile=NO_PROXY, flags=["--no-audit", "--name=web"], environment=environment
    )
    assert named.exit_code == 1
    assert "the session 'web' cannot be recorded" in named.stderr
    left = sandbox.run(
        ["true"], profile=NO_PROXY, flags=["--no-audit", "--detached"], environment=environment
    )
    assert left.exit_code == 1
    assert "the session cannot be recorded" in left.stderr
    unnamed = sandbox.run(["true"], profile=NO_PROXY, flags=["--no-audit"], environment=environment)
    assert unnamed.exit_code == 0
    assert "`nono ps` will not show this run" in unnamed.stderr
