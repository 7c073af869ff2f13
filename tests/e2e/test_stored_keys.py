"""The embedded store is encrypted where something can hold its key, and says where nothing can."""

from __future__ import annotations

import ctypes
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from nono.credentials.store import locks
from nono.credentials.store.box import Lock
from support.nono_run import NONO, NonoRun
from support.running import fork_server
from support.terminal import Terminal, terminal

KEY = "sk-canary-0123456789abcdefghij"
NOBODY = {"PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring"}
NEW, AGAIN = b"(not shown; Enter: plain text): ", b"The same again: "
VALUE, OLD = b"Value of 'openai' (not shown): ", b"Passphrase of nono's credentials (not shown): "
# Clears the keyring of the user, by keyctl(2).
FORGET = "import ctypes; ctypes.CDLL(None).syscall(250, 7, -4)"


def store(sandbox: NonoRun) -> Path:
    return sandbox.user.home / ".local/state/nono/credentials.json"


def forget(lock: Lock) -> None:
    """Remove the key of one store from the keyring of the user in the kernel."""
    kind, name = b"user", locks._kept_name(lock).encode()
    libc = ctypes.CDLL(None)
    libc.syscall(250, 21, libc.syscall(250, 10, -4, kind, name, 0))


@contextmanager
def credential(sandbox: NonoRun, *arguments: str) -> Iterator[Terminal]:
    argv = sandbox.user.command([*NONO, "credential", *arguments])
    with terminal(argv, sandbox.user.environment(NOBODY), sandbox.project) as person:
        yield person


def answers(person: Terminal, *dialog: tuple[bytes, bytes]) -> int:
    for question, keys in dialog:
        person.wait_for(question)
        person.type(keys + b"\n")
    return person.end()


def without_terminal(sandbox: NonoRun, *arguments: str) -> subprocess.CompletedProcess[str]:
    argv = sandbox.user.command([*NONO, "credential", *arguments])
    environment = sandbox.user.environment(NOBODY)
    return fork_server.run(argv, env=environment, cwd=sandbox.project, input=KEY, timeout=60)


def encrypt(sandbox: NonoRun) -> None:
    with credential(sandbox, "set", "openai") as person:
        assert answers(person, (VALUE, KEY.encode()), (NEW, b"open sesame"), (AGAIN, b"open sesame")) == 0
    assert b"encrypted with your passphrase" in person.shown


def test_the_program_that_asks_for_a_key_keeps_its_memory_private(sandbox: NonoRun) -> None:
    with credential(sandbox, "set", "openai") as person:
        person.wait_for(VALUE)
        # proc_pid_environ(5): the files of a process that is not dumpable belong to root.
        owner = Path(f"/proc/{person.process.pid}/environ").stat().st_uid
        limits = Path(f"/proc/{person.process.pid}/limits").read_text()
    line = next(line for line in limits.splitlines() if line.startswith("Max core file size"))
    assert (owner, line.split()[4:6]) == (0, ["0", "0"])


@pytest.mark.parametrize(("length", "is_stored"), [(4094, True), (4095, False), (5000, False)])
def test_a_key_that_a_terminal_may_have_cut_off_is_not_stored(
    sandbox: NonoRun, length: int, is_stored: bool
) -> None:
    with credential(sandbox, "set", "openai") as person:
        person.wait_for(VALUE)
        person.type(b"k" * length + b"\n")
        if is_stored:
            assert answers(person, (NEW, b"")) == 0
        else:
            assert person.end() == 1
            assert b"what was typed may be cut off" in person.shown
    assert store(sandbox).exists() is is_stored


def test_a_value_stays_unseen_after_its_question_was_stopped(sandbox: NonoRun) -> None:
    with credential(sandbox, "set", "openai") as person:
        person.wait_for(VALUE)
        os.kill(person.process.pid, signal.SIGSTOP)
        at_shell = person.other_end()
        modes = termios.tcgetattr(at_shell)
        modes[3] |= termios.ECHO  # as a shell sets it
        termios.tcsetattr(at_shell, termios.TCSANOW, modes)
        os.close(at_shell)
        os.kill(person.process.pid, signal.SIGCONT)
        while person.shown.count(VALUE) < 2:
            person.wait_for_more()
        assert answers(person, (VALUE, KEY.encode()), (NEW, b"")) == 0
    assert KEY.encode() not in person.shown


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGINT], ids=lambda each: each.name
)
def test_a_question_that_is_ended_by_a_signal_leaves_the_terminal_as_it_was(
    sandbox: NonoRun, number: signal.Signals
) -> None:
    with credential(sandbox, "set", "openai") as person:
        person.wait_for(VALUE)
        assert not person.modes()[3] & termios.ECHO
        os.kill(person.process.pid, number)
        assert person.end() == (130 if number is signal.SIGINT else -number)
        assert person.modes()[3] & termios.ECHO


@pytest.mark.parametrize("asked", [VALUE, NEW, AGAIN], ids=["value", "passphrase", "again"])
def test_nothing_is_stored_if_an_answer_ends_without_a_line(sandbox: NonoRun, asked: bytes) -> None:
    with credential(sandbox, "set", "openai") as person:
        for question, keys in ((VALUE, KEY.encode()), (NEW, b"open sesame"), (AGAIN, b"")):
            person.wait_for(question)
            if question == asked:
                break
            person.type(keys + b"\n")
        person.type(b"\x04")
        assert person.end() == 1
    assert b"nothing was stored" in person.shown
    assert b"Traceback" not in person.shown
    assert not store(sandbox).exists()


def test_an_interrupt_of_a_passphrase_is_no_wrong_passphrase(sandbox: NonoRun) -> None:
    encrypt(sandbox)
    forget_passphrases(sandbox)
    with credential(sandbox, "list") as person:
        person.wait_for(OLD)
        person.type(b"\x03")
        assert person.end() == 130
    assert b"that is not its passphrase" not in person.shown


def forget_passphrases(sandbox: NonoRun) -> None:
    """Empty the keyring of the user in the kernel."""
    argv = sandbox.user.command([sys.executable, "-I", "-c", FORGET])
    subprocess.run(argv, env=sandbox.user.environment({}), check=False, timeout=60)


def test_a_passphrase_encrypts_the_store(sandbox: NonoRun) -> None:
    encrypt(sandbox)
    assert KEY not in store(sandbox).read_text()
    assert json.loads(store(sandbox).read_text())["lock"]["kind"] == "passphrase"


def test_a_passphrase_is_asked_for_once(sandbox: NonoRun) -> None:
    encrypt(sandbox)
    with credential(sandbox, "test", "openai") as person:
        assert person.end() == 0
    assert OLD not in person.shown
    forget_passphrases(sandbox)
    with credential(sandbox, "test", "openai") as person:
        assert answers(person, (OLD, b"open sesame")) == 0
    with credential(sandbox, "test", "openai") as person:
        assert person.end() == 0


def test_another_passphrase_opens_nothing(sandbox: NonoRun) -> None:
    encrypt(sandbox)
    forget_passphrases(sandbox)
    with credential(sandbox, "test", "openai") as person:
        assert answers(person, (OLD, b"open sesam")) == 1
    assert b"that is not its passphrase" in person.shown


def test_without_a_terminal_a_locked_store_stays_locked(sandbox: NonoRun) -> None:
    encrypt(sandbox)
    forget_passphrases(sandbox)
    done = without_terminal(sandbox, "test", "openai")
    assert (done.returncode, "nobody is there to type its passphrase" in done.stderr) == (1, True)


def test_without_anything_that_holds_a_key_the_store_is_said_to_be_plain_text(sandbox: NonoRun) -> None:
    done = without_terminal(sandbox, "set", "openai")
    assert "as plain text" in done.stdout
    assert KEY in store(sandbox).read_text()


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("opeani", "openai"),
        ("gitub", "github"),
        ("openai2", "openai"),
        ("openai", None),
        ("openai-2", None),
        ("gitea", None),
        ("audit", None),
    ],
)
def test_a_key_under_a_mistyped_service_is_stored_and_said(
    sandbox: NonoRun, name: str, meant: str | None
) -> None:
    done = without_terminal(sandbox, "set", name)
    assert (done.returncode, f"Stored '{name}'" in done.stdout) == (0, True)
    assert (f"nono has no service '{name}'" in done.stderr) == (meant is not None)
    if meant is not None:
        assert f"did you mean '{meant}'?" in done.stderr


def test_an_older_store_is_encrypted_with_the_next_key(sandbox: NonoRun) -> None:
    without_terminal(sandbox, "set", "github")
    encrypt(sandbox)
    assert KEY not in store(sandbox).read_text()
    assert without_terminal(sandbox, "test", "github").returncode == 0


ONLY_ROOT = pytest.mark.skipif(
    os.geteuid() != 0, reason="only root can do without the service that systemd runs"
)


@ONLY_ROOT
def test_systemd_creds_holds_the_key_of_a_login(tmp_path: Path) -> None:
    login = {"accessToken": f"{KEY}-access", "refreshToken": f"{KEY}-refresh", "scopes": []}
    (tmp_path / ".claude").mkdir(mode=0o700)
    (tmp_path / ".claude/.credentials.json").write_text(json.dumps({"claudeAiOauth": login}))
    environment = {**NOBODY, "HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}

    def run(*arguments: str) -> str:
        argv = [*NONO, "credential", *arguments]
        done = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=60, check=True)
        return done.stdout

    assert "encrypted by systemd-creds" in run("import", "claude-code")
    file = tmp_path / ".local/state/nono/oauth-capture/providers.json"
    assert KEY not in file.read_text()
    assert "2 tokens" in run("logins")
    forget(Lock(**json.loads(file.read_text())["lock"]))


class Root:
    """Runs `nono credential` as root, whose systemd-creds holds the key of a store."""

    def __init__(self, home: Path) -> None:
        self.file = home / ".local/state/nono/credentials.json"
        self._environ = {**NOBODY, "HOME": str(home), "PATH": "/usr/bin:/bin"}

    @property
    def lock(self) -> Lock:
        return Lock(**json.loads(self.file.read_text())["lock"])

    def run(self, *arguments: str, search_path: str = "/usr/bin:/bin") -> tuple[int, str]:
        done = subprocess.run(
            [*NONO, "credential", *arguments],
            env={**self._environ, "PATH": search_path},
            input=KEY,
            capture_output=True,
            text=True,
            timeout=60,
        )
        return done.returncode, done.stdout + done.stderr


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Root]:
    """Yield root with a stored key. The kernel keeps nothing of the store afterwards."""
    assert shutil.which("systemd-creds"), "Debian's systemd has it"
    root = Root(tmp_path)
    assert "encrypted by systemd-creds" in root.run("set", "openai")[1]
    yield root
    forget(root.lock)


@ONLY_ROOT
def test_systemd_creds_holds_the_key(root: Root) -> None:
    assert KEY not in root.file.read_text()
    assert root.run("test", "openai")[0] == 0
    document, lock = json.loads(root.file.read_text()), root.lock
    document["lock"]["value"] = lock.value[:-8] + "AAAAAAA="
    root.file.write_text(json.dumps(document))
    code, said = root.run("test", "openai")
    forget(lock)
    assert (code, "systemd-creds does not give out its key" in said) == (1, True)


@ONLY_ROOT
def test_systemd_creds_is_asked_for_the_key_once(root: Root, tmp_path: Path) -> None:
    without_it = str(tmp_path)
    assert root.run("test", "openai", search_path=without_it)[0] == 1
    assert root.run("test", "openai")[0] == 0
    assert root.run("test", "openai", search_path=without_it)[0] == 0
    forget(root.lock)
    assert root.run("test", "openai", search_path=without_it)[0] == 1


def test_a_key_that_is_being_stored_ends_in_no_core_file(sandbox: NonoRun) -> None:
    """Control and backslash at the second question would leave one in the working directory."""

    def environment_of(pid: int) -> int:
        argv = sandbox.user.command(["cat", f"/proc/{pid}/environ"])
        return subprocess.run(argv, capture_output=True, check=False).returncode

    dumping = ["sh", "-c", 'ulimit -c "$(ulimit -H -c)" && exec "$@"', "sh"]
    other, nono = ["sh", "-c", "echo ready; exec sleep 60"], [*NONO, "credential", "set", "openai"]
    environment = sandbox.user.environment(NOBODY)
    with terminal(sandbox.user.command([*dumping, *other]), environment, sandbox.project) as person:
        person.wait_for(b"ready")
        assert environment_of(person.process.pid) == 0
    with terminal(sandbox.user.command([*dumping, *nono]), environment, sandbox.project) as person:
        person.wait_for(VALUE)
        person.type(KEY.encode() + b"\n")
        person.wait_for(NEW)
        limits = Path(f"/proc/{person.process.pid}/limits").read_text()
        assert re.search(r"Max core file size +0 +0 ", limits)
        assert environment_of(person.process.pid) != 0  # it is as closed to who takes core files
        person.type(b"\x1c")
        assert person.end() == -signal.SIGQUIT
    assert not [*sandbox.project.glob("core*")]
