"""The password store of a real pass(1), encrypted by a real GnuPG with a key of its own.

Debian packages: gnupg, pass.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from nono.credentials import resolver
from nono.credentials.values.errors import CredentialNotFound, CredentialUnavailable
from nono.secret import Secret

CANARY = "c4n4ryC4N4RYc4n4ry0123456789"
ABSENT = [program for program in ("gpg", "gpg-agent", "gpgconf", "pass") if shutil.which(program) is None]

pytestmark = pytest.mark.skipif(
    bool(ABSENT), reason=f"not installed: {', '.join(ABSENT)} (Debian: gnupg pass)"
)


@pytest.fixture(scope="module")
def environ() -> Iterator[dict[str, str]]:
    """Yield a home with a password store, whose keys have no passphrase; its gpg-agent is gone afterwards."""
    # Not below tmp_path: a socket's name must fit into 108 bytes.
    with tempfile.TemporaryDirectory(prefix="nono-pass-") as directory:
        home = Path(directory)
        (home / "gnupg").mkdir(mode=0o700)
        # No socket directory in /run/user, which would be shared with the user's own agent.
        environ = {
            "HOME": directory,
            "GNUPGHOME": f"{directory}/gnupg",
            "PATH": "/usr/bin:/bin",
            "LANG": "C.UTF-8",
        }
        try:
            for name in ("usable", "lost"):
                run(environ, "gpg", *["--batch", "--quiet", "--passphrase"], "", "--quick-generate-key", name)
            run(environ, "pass", "init", "usable")
            insert(environ, "work/api", f"{CANARY}\nuser: me\n")
            insert(environ, "work/empty", "\nonly notes\n")
            insert(environ, "binary", "\x1b[31m\n")
            run(environ, "pass", "init", "-p", "theirs", "lost")
            insert(environ, "theirs/api", f"{CANARY}\n")
            listed = run(environ, "gpg", "--with-colons", "--fingerprint", "lost").splitlines()
            (fingerprint,) = {line.split(":")[9] for line in listed[:3] if line.startswith("fpr")}
            run(environ, "gpg", "--batch", "--yes", "--delete-secret-keys", fingerprint)
            yield environ
        finally:
            subprocess.run(["gpgconf", "--kill", "all"], env=environ, check=False, capture_output=True)


def run(environ: dict[str, str], *argv: str, text: str = "") -> str:
    done = subprocess.run(
        argv, env=environ, input=text, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def insert(environ: dict[str, str], entry: str, text: str) -> None:
    run(environ, "pass", "insert", "--multiline", "--force", "--", entry, text=text)


def test_the_first_line_of_an_entry_is_the_credential(environ: dict[str, str]) -> None:
    assert resolver.resolve_credential("pass://work/api", environ) == Secret(CANARY)


def test_so_it_is_in_a_store_elsewhere(environ: dict[str, str]) -> None:
    (Path(environ["HOME"]) / ".password-store").rename(Path(environ["HOME"]) / "elsewhere")
    moved = environ | {"PASSWORD_STORE_DIR": environ["HOME"] + "/elsewhere"}
    try:
        assert resolver.resolve_credential("pass://work/api", moved) == Secret(CANARY)
        with pytest.raises(CredentialNotFound):
            resolver.resolve_credential("pass://work/api", environ)
    finally:
        (Path(environ["HOME"]) / "elsewhere").rename(Path(environ["HOME"]) / ".password-store")


@pytest.mark.parametrize("entry", ["absent", "work/absent", "api", "work", "work/empty"])
def test_what_is_no_entry_with_a_first_line_is_not_found(environ: dict[str, str], entry: str) -> None:
    with pytest.raises(CredentialNotFound):
        resolver.resolve_credential(f"pass://{entry}", environ)


def test_an_entry_whose_key_is_not_there_is_locked(environ: dict[str, str]) -> None:
    with pytest.raises(CredentialUnavailable, match="is locked, or not signed in"):
        resolver.resolve_credential("pass://theirs/api", environ)


def test_what_is_no_text_is_no_credential(environ: dict[str, str]) -> None:
    with pytest.raises(CredentialUnavailable, match="control characters"):
        resolver.resolve_credential("pass://binary", environ)


def test_a_gpg_in_the_working_directory_is_not_run(
    environ: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("gpg", "gpg2", "pass", "tail"):
        (tmp_path / name).write_text(f"#!/bin/sh\n: > {tmp_path}/ran\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.chdir(tmp_path)
    planted = environ | {"PATH": f"{tmp_path}:.::{environ['PATH']}"}
    assert resolver.resolve_credential("pass://work/api", planted) == Secret(CANARY)
    assert not (tmp_path / "ran").exists()


def test_nono_credential_test_never_shows_the_credential(environ: dict[str, str]) -> None:
    def tried(entry: str) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-m", "nono", "credential", "test", f"pass://{entry}"]
        return subprocess.run(argv, env=environ, capture_output=True, text=True, timeout=60, check=False)

    done = tried("work/api")
    assert (done.returncode, done.stdout) == (0, "'pass://work/api' can be read.\n")
    assert CANARY not in done.stdout + done.stderr
    done = tried("work/absent")
    assert (done.returncode, done.stdout) == (1, "")
    assert "pass knows no such entry" in done.stderr
