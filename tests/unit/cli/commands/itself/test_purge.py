"""`nono purge` removes what nono keeps for a person, and nothing else."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace

import pytest

from nono.cli.commands.itself import purge
from nono.cli.main import main
from nono.credentials import resolver
from nono.credentials.resolver import SYSTEM_KEYRING, StoredName
from nono.paths import STATE_VARIABLE

KEPT = (
    ".config/nono/config.toml",
    ".local/state/nono/audit/x/audit-events.ndjson",
    ".cache/nono/caches/p/go/mod",
    ".cache/nono/gh/abc/hosts.yml",
    ".cache/nono/mcp/tracker/note",
    ".cache/nono/tmp/x",  # TMPDIR of agents, as an earlier build had it
    ".local/state/nono/asking/34816",
)
OTHERS = (".config/other", ".cache/other", "project/nono/file")
# Where nono's files lie, but not made by it: a program that was installed into ~/.nono, and notes.
NOT_ITS_OWN = (".nono/bin/nono", ".config/nono/notes.md", ".local/state/nono/backup/x")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME", STATE_VARIABLE):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("sys.stdin", io.StringIO())
    monkeypatch.setattr(resolver, "names", lambda environ: ())  # the keyring of whoever runs the tests
    for name in (*KEPT, *OTHERS):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    return tmp_path


def left(home: Path) -> set[str]:
    return {name for name in (*KEPT, *OTHERS) if (home / name).exists()}


def test_everything_of_nono_is_removed_after_a_yes(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / KEPT[2]).parent.chmod(0o500)  # as Go leaves its module cache
    assert main(["purge", "--yes"]) == 0
    assert left(home) == {*OTHERS}
    said = capsys.readouterr().out
    assert [
        place for place in (".config/nono", ".local/state/nono", ".cache/nono") if place not in said
    ] == []


def test_the_list_is_written_before_what_was_done_with_it(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = io.BytesIO()  # as `nono purge --yes >file 2>&1`
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(file))
    monkeypatch.setattr("sys.stderr", io.TextIOWrapper(file, write_through=True))
    assert main(["purge", "--yes"]) == 0
    assert file.getvalue().splitlines()[0].startswith(bytes(home))
    assert file.getvalue().splitlines()[-1].startswith(b"Removed.")


def test_what_nono_did_not_make_stays(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in (*NOT_ITS_OWN, ".nono/sessions/old.json"):
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text("x")
    assert main(["purge", "--yes"]) == 0
    assert [name for name in NOT_ITS_OWN if not (home / name).exists()] == []
    assert left(home) == {*OTHERS}
    assert not (home / ".nono/sessions").exists()
    said = capsys.readouterr().out
    for stays in (".nono/bin", ".config/nono/notes.md", ".local/state/nono/backup"):
        assert f"{home / stays}  stays: nono did not make it\n" in said


def test_what_a_killed_nono_was_writing_is_removed(home: Path) -> None:
    written = (
        ".config/nono/.config.toml.0123456789abcdef.tmp",
        ".local/state/nono/.credentials.json.tmp",
        ".local/state/nono/.projects.json.0123456789abcdef.tmp",
    )
    others = (".config/nono/.notes.tmp", ".local/state/nono/.credentials.json.swp")
    for name in (*written, *others):
        (home / name).write_text("x")
    assert main(["purge", "--yes"]) == 0
    assert [name for name in (*written, *others) if (home / name).exists()] == [*others]


def test_a_place_with_nothing_of_nono_is_no_reason_to_ask(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["purge", "--yes"]) == 0
    (home / ".nono/bin").mkdir(parents=True)
    assert main(["purge"]) == 0
    assert "Nothing to remove." in capsys.readouterr().err
    assert (home / ".nono/bin").exists()


def test_what_is_removed_is_listed_with_its_size(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / KEPT[1]).write_bytes(bytes(3 << 20))
    assert main(["purge", "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert (
        f"{home / '.local/state/nono'}  sessions, logs, stored keys and logins (3.0 MiB)\n    asking, audit\n"
        in said
    )


def test_a_small_place_is_listed_with_a_size_that_says_something(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["purge", "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert "(0.0 MiB)" not in said
    assert " KiB)" in said


def test_a_dry_run_removes_nothing(home: Path) -> None:
    assert main(["purge", "--dry-run"]) == 0
    assert left(home) == {*KEPT, *OTHERS}


def test_nothing_is_removed_where_nobody_can_be_asked(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["purge"]) == 1
    assert left(home) == {*KEPT, *OTHERS}
    assert "hint: --yes" in capsys.readouterr().err


def test_a_no_removes_nothing_and_is_no_success(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(purge, "_agreed", lambda: False)
    assert main(["purge"]) == 1
    assert left(home) == {*KEPT, *OTHERS}


@pytest.mark.parametrize("is_dry", [True, False])
def test_nothing_is_removed_while_a_session_runs(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], is_dry: bool
) -> None:
    running = SimpleNamespace(record=SimpleNamespace(session_id="20260101-1", is_ended=False))
    monkeypatch.setattr(purge, "sessions", lambda environ: [running])
    assert main(["purge", "--yes", *(["--dry-run"] if is_dry else [])]) == (0 if is_dry else 1)
    assert ("sessions are running: 20260101-1" in capsys.readouterr().err) is not is_dry
    assert left(home) == {*KEPT, *OTHERS}


def test_the_name_of_a_file_changes_no_terminal(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / ".config/nono/\x1b[2Jx").touch()
    assert main(["purge", "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert "[2Jx  stays" in said
    assert "\x1b" not in said


def test_settings_can_be_kept(home: Path) -> None:
    assert main(["purge", "--yes", "--keep-config"]) == 0
    assert left(home) == {KEPT[0], *OTHERS}


def test_of_a_link_only_the_link_is_removed(home: Path) -> None:
    elsewhere = home / "elsewhere"
    (home / ".cache/nono").rename(elsewhere)
    (home / ".cache/nono").symlink_to(elsewhere)
    assert main(["purge", "--yes"]) == 0
    assert not (home / ".cache/nono").is_symlink()
    assert (elsewhere / "caches/p/go/mod").exists()


@pytest.mark.parametrize("name", [".cache/nono/out", ".cache/nono/bin", ".cache/nono/caches/p/out"])
def test_a_link_inside_leads_nowhere(home: Path, name: str) -> None:
    (home / name).symlink_to(home / "project")
    (home / "project").chmod(0o755)
    assert main(["purge", "--yes"]) == 0
    assert left(home) == {*OTHERS}
    assert (home / "project").stat().st_mode & 0o777 == 0o755


def test_keys_in_the_system_keyring_are_removed(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    removed = list[str]()

    def remove(name: str, environ: Mapping[str, str]) -> tuple[str, ...]:
        removed.append(name)
        return (SYSTEM_KEYRING,)

    stored = (StoredName("openai", SYSTEM_KEYRING), StoredName("x", "/a/file"))
    monkeypatch.setattr(resolver, "names", lambda environ: stored)
    monkeypatch.setattr(resolver, "remove", remove)
    assert main(["purge", "--yes"]) == 0
    assert removed == ["openai"]


def test_nothing_is_purged_inside_a_sandbox(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(STATE_VARIABLE, "/x")
    assert main(["purge", "--yes"]) == 1
    assert left(home) == {*KEPT, *OTHERS}
