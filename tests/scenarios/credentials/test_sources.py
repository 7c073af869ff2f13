"""Reading a credential from each source: what is believed, what is refused; and nothing waits for ever."""

from __future__ import annotations

import base64
import os
import socket
import subprocess
import sys
import threading
import time
from io import StringIO
from pathlib import Path

import pytest

from nono.credentials import resolver
from nono.credentials.sources import environment, file, keyring
from nono.credentials.values.content import (
    MAX_SECRET_BYTES,
    decode_go_keyring,
    secret_from_bytes,
    secret_from_text,
)
from nono.credentials.values.errors import CredentialNotFound, CredentialUnavailable
from nono.credentials.values.reference import EnvironmentReference, FileReference, KeyringReference
from nono.secret import Secret
from support.fake_keyring import Memory


def unexpected(sentence: str) -> None:
    raise AssertionError(sentence)


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "key"
    path.write_text("s3cret\n")
    path.chmod(0o600)
    return path


def read_file(path: Path) -> Secret:
    return file.read(FileReference(str(path)), unexpected)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param(b"s3cret", "s3cret", id="no line end"),
        pytest.param(b"s3cret\n", "s3cret", id="one line end"),
        pytest.param(b"s3cret\r\n", "s3cret", id="one line end of DOS"),
        pytest.param(b" s3cret ", " s3cret ", id="blanks stay"),
        pytest.param("s3crét".encode(), "s3crét", id="UTF-8"),
        pytest.param(b"x" * MAX_SECRET_BYTES, "x" * MAX_SECRET_BYTES, id="64 KiB"),
    ],
)
def test_content_is_a_secret(content: bytes, expected: str) -> None:
    assert secret_from_bytes(content, "here").matches(expected)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        pytest.param(b"s3cret\n\n", "control characters", id="two line ends"),
        pytest.param(b"s3cret\r", "control characters", id="CR alone"),
        pytest.param(b"s3\0cret", "control characters", id="NUL"),
        pytest.param(b"s3\x1bcret", "control characters", id="ESC"),
        pytest.param("s3\x85cret".encode(), "control characters", id="C1 control"),
        pytest.param(b"s3\xffcret", "not UTF-8", id="not UTF-8"),
        pytest.param(b"x" * (MAX_SECRET_BYTES + 1), "longer than 64 KiB", id="64 KiB and a byte"),
    ],
)
def test_content_is_unavailable_as_a_secret(content: bytes, problem: str) -> None:
    with pytest.raises(CredentialUnavailable, match=problem):
        secret_from_bytes(content, "here")
    with pytest.raises(CredentialUnavailable, match=problem):
        secret_from_text(content.removesuffix(b"\n").decode("utf-8", "surrogateescape"), "here")


@pytest.mark.parametrize("content", [b"", b"\n", b"\r\n"])
def test_empty_content_counts_as_not_found(content: bytes) -> None:
    with pytest.raises(CredentialNotFound, match="empty"):
        secret_from_bytes(content, "here")


def test_a_variable_is_read() -> None:
    assert environment.read(EnvironmentReference("A"), {"A": "s3cret"}).matches("s3cret")


@pytest.mark.parametrize("environ", [{}, {"A": ""}, {"a": "s3cret"}], ids=["unset", "empty", "other case"])
def test_a_variable_without_a_value_is_not_found(environ: dict[str, str]) -> None:
    with pytest.raises(CredentialNotFound, match="env://A"):
        environment.read(EnvironmentReference("A"), environ)


@pytest.mark.parametrize("value", ["s3\ncret", "s3\udcffcret"], ids=["two lines", "not UTF-8"])
def test_a_variable_that_is_no_line_of_text_is_unavailable(value: str) -> None:
    with pytest.raises(CredentialUnavailable, match="env://A"):
        environment.read(EnvironmentReference("A"), {"A": value})


def test_a_private_file_is_read_without_a_warning(key_file: Path) -> None:
    assert read_file(key_file).matches("s3cret")


@pytest.mark.parametrize("bits", [0o640, 0o604], ids=["group", "others"])
def test_a_file_that_others_can_read_is_read_with_a_warning(key_file: Path, bits: int) -> None:
    key_file.chmod(bits)
    warnings: list[str] = []
    assert file.read(FileReference(str(key_file)), warnings.append).matches("s3cret")
    assert len(warnings) == 1


@pytest.mark.parametrize("bits", [0o620, 0o602], ids=["group", "others"])
def test_a_file_that_others_can_write_is_refused(key_file: Path, bits: int) -> None:
    key_file.chmod(bits)
    with pytest.raises(CredentialUnavailable, match="other users can write"):
        read_file(key_file)


def test_a_file_of_a_third_user_is_refused(key_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if os.geteuid() == 0:
        os.chown(key_file, 12345, -1)
    else:
        somebody = os.geteuid() + 1
        monkeypatch.setattr(os, "geteuid", lambda: somebody)
    with pytest.raises(CredentialUnavailable, match="belongs to uid"):
        read_file(key_file)


def test_a_symbolic_link_to_a_private_file_is_followed(key_file: Path) -> None:
    (key_file.parent / "link").symlink_to(key_file)
    assert read_file(key_file.parent / "link").matches("s3cret")


def test_a_missing_file_is_not_found(key_file: Path) -> None:
    for path in (key_file.parent / "other", key_file / "below"):
        with pytest.raises(CredentialNotFound, match="no such file"):
            read_file(path)


def test_a_fifo_is_refused_without_waiting_for_a_writer(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo", 0o600)
    with pytest.raises(CredentialUnavailable, match="not a regular file"):
        read_file(tmp_path / "fifo")


@pytest.mark.parametrize("path", ["/dev/null", "/dev/zero", "/"], ids=["null", "zero", "directory"])
def test_what_is_no_regular_file_is_refused(path: str) -> None:
    with pytest.raises(CredentialUnavailable, match="not a regular file"):
        read_file(Path(path))


def test_reading_leaves_no_descriptor_open(key_file: Path) -> None:
    before = os.listdir("/proc/self/fd")
    read_file(key_file)
    key_file.chmod(0o666)
    with pytest.raises(CredentialUnavailable):
        read_file(key_file)
    assert os.listdir("/proc/self/fd") == before


REFERENCE = KeyringReference("svc", "acct")


def test_a_keyring_entry_is_read(with_keyring: dict[str, str]) -> None:
    Memory.entries["svc", "acct"] = "s3cret"
    assert keyring.read(REFERENCE, with_keyring).matches("s3cret")


def test_a_keyring_entry_that_is_not_there_is_not_found(with_keyring: dict[str, str]) -> None:
    Memory.entries["svc", "other"] = "s3cret"
    with pytest.raises(CredentialNotFound, match="no such entry"):
        keyring.read(REFERENCE, with_keyring)


@pytest.mark.parametrize(
    "backend",
    ["keyring.backends.fail.Keyring", "keyring.backends.null.Keyring", "no.such.Backend", "nodot"],
)
def test_a_backend_that_stands_for_no_keyring_is_unavailable(environ: dict[str, str], backend: str) -> None:
    with pytest.raises(CredentialUnavailable, match="no system keyring") as caught:
        keyring.read(REFERENCE, environ | {"PYTHON_KEYRING_BACKEND": backend})
    assert "nono credential set" in (caught.value.hint or "")


def test_a_keyring_that_does_not_answer_is_given_up(with_stuck_keyring: dict[str, str]) -> None:
    started = time.monotonic()
    with pytest.raises(CredentialUnavailable, match="did not answer within 1 s"):
        keyring.read(REFERENCE, with_stuck_keyring)
    assert time.monotonic() - started < 10


def test_a_person_is_told_what_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    told = threading.Event()

    class Stderr(StringIO):
        def write(self, text: str) -> int:
            told.set()
            return super().write(text)

    monkeypatch.setattr(keyring, "_REMINDER_S", 0)
    monkeypatch.setattr(keyring, "_TURN_S", 0.01)
    monkeypatch.setattr("sys.stderr", shown := Stderr())
    assert keyring._within(None, "x", lambda: told.wait(60))
    assert shown.getvalue() == "nono: waiting for the system keyring; it may ask for its password\n"


def test_a_hanging_keyring_call_does_not_keep_the_process_alive() -> None:
    script = (
        "import threading; from nono.credentials.sources.keyring import _within\n"
        "from nono.credentials.values.errors import CredentialUnavailable\n"
        "try: _within(0.05, 'x', threading.Event().wait)\n"
        "except CredentialUnavailable: print('gave up')"
    )
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=20, check=True
    )
    assert result.stdout == "gave up\n"


@pytest.mark.parametrize(
    ("asked", "modules"),
    [
        ("_readable", {"secretstorage"}),
        ("_backend", {"secretstorage", "keyring.core", "keyring.backends.SecretService"}),
    ],
    ids=["to read", "to write, or to read from another keyring"],
)
def test_the_time_that_a_daemon_has_begins_after_the_imports(asked: str, modules: set[str]) -> None:
    script = (
        "import sys; from nono.credentials.sources import keyring\n"
        f"keyring._within = lambda *_: sys.exit(not {modules} <= sys.modules.keys())\n"
        f"keyring.{asked}({{'DBUS_SESSION_BUS_ADDRESS': 'unix:path=/nowhere'}})"
    )
    assert subprocess.run([sys.executable, "-c", script], timeout=20).returncode == 0


def test_a_message_bus_that_never_speaks_is_given_up(tmp_path: Path) -> None:
    script = (
        "import os; from nono.credentials import resolver; from nono.secret import Secret\n"
        "print(resolver.save('openai', Secret('x'), os.environ).where)"
    )
    address = f"unix:path={tmp_path}/bus"
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "DBUS_SESSION_BUS_ADDRESS": address}
    with socket.socket(socket.AF_UNIX) as bus:
        bus.bind(f"{tmp_path}/bus")
        bus.listen()
        started = time.monotonic()
        argv = [sys.executable, "-c", script]
        result = subprocess.run(argv, env=environ, capture_output=True, text=True, timeout=60, check=True)
    assert result.stdout == f"{tmp_path}/.local/state/nono/credentials.json\n"
    assert time.monotonic() - started < 20


@pytest.mark.parametrize(
    ("text", "expected"),
    [("", 120.0), ("7", 7.0), ("0", None), ("-1", 120.0), ("1.5", 120.0), ("x", 120.0), ("9" * 400, 120.0)],
)
def test_the_unlock_time_comes_from_the_environment(text: str, expected: float | None) -> None:
    assert keyring._unlock_timeout_s({"NONO_KEYRING_TIMEOUT_SECS": text}) == expected


@pytest.mark.parametrize("reference", ["keyring://svc/acct", "by_name"])
@pytest.mark.parametrize(("text", "is_told"), [("30s", True), ("-1", True), ("7", False), ("0", False)])
def test_an_unlock_time_that_is_no_number_is_told(
    with_keyring: dict[str, str], text: str, is_told: bool, reference: str
) -> None:
    told: list[str] = []
    Memory.entries["svc", "acct"] = Memory.entries["nono", "by_name"] = "s3cret"
    environ = with_keyring | {"NONO_KEYRING_TIMEOUT_SECS": text}
    resolver.resolve_credential(reference, environ, told.append)
    expected = "NONO_KEYRING_TIMEOUT_SECS is not a number of seconds; the keyring gets 120 s"
    assert told == ([expected] if is_told else [])


def test_the_keyring_configuration_file_is_not_consulted(tmp_path: Path) -> None:
    config = tmp_path / "python_keyring"
    config.mkdir()
    (config / "planted.py").write_text("open(__file__ + '.ran', 'w').close()\nclass Keyring: priority = 9\n")
    (config / "keyringrc.cfg").write_text(
        f"[backend]\ndefault-keyring=planted.Keyring\nkeyring-path={config}\n"
    )
    script = "from nono.credentials.sources.keyring_backend import choose; choose({})"
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)}
    subprocess.run([sys.executable, "-c", script], env=environ, check=True, timeout=60)
    assert not (config / "planted.py.ran").exists()


def test_a_value_of_a_go_program_is_decoded() -> None:
    text = "go-keyring-base64:" + base64.b64encode(b"s3cret").decode()
    assert decode_go_keyring(text, "x").matches("s3cret")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("s3cret", "does not start with"),
        ("go-keyring-base64:???", "not base64"),
        ("go-keyring-base64:/w==", "UTF-8"),
    ],
)
def test_a_value_that_no_go_program_wrote_is_unavailable(text: str, problem: str) -> None:
    with pytest.raises(CredentialUnavailable, match=problem):
        decode_go_keyring(text, "x")
