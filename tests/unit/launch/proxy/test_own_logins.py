"""The place of a private login file: what is made outside for it, and what is left there."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from nono.credentials import resolver
from nono.credentials.logins.agent_files import AGENT_FILES
from nono.errors import LaunchError, NonoError
from nono.launch.proxy import own_logins
from nono.launch.proxy.logins import _keys_made_inside, _made_inside
from nono.launch.proxy.own_logins import places_ready, with_own_logins, with_shared_files
from nono.policy.capability import Access, Denial, Grant, Mask, Masking
from nono.policy.host_filesystem import HostFilesystem
from nono.policy.profile.store import load
from nono.policy.request import RunRequest
from nono.policy.resolve import resolve
from nono.secret import Secret

CONTENT = "a login of somebody"


@pytest.fixture
def login(tmp_path: Path) -> Path:
    (tmp_path / ".codex").mkdir()
    return tmp_path / ".codex/auth.json"


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"HOME": str(tmp_path)}


@pytest.fixture
def masking(login: Path) -> Masking:
    above = str(login.parent)
    grant = Grant(above, Access.READWRITE, True, "profile", above)
    denial = Denial(str(login), str(login), "group:deny_agent_logins")
    return Masking((Mask(denial, "link", 1, grant, own=f"{above}/nono"),))


def names(login: Path) -> list[str]:
    return sorted(str(each.relative_to(login.parent)) for each in login.parent.rglob("*"))


def test_a_place_is_held_for_the_run_and_reads_as_no_file(
    masking: Masking, login: Path, environ: dict[str, str]
) -> None:
    with places_ready(masking, environ):
        assert login.is_symlink()
        assert not login.exists()
        assert (login.parent / "nono").stat().st_mode & 0o777 == 0o700
    assert names(login) == ["nono"]


def test_a_login_outside_is_left_alone(masking: Masking, login: Path, environ: dict[str, str]) -> None:
    login.write_text(CONTENT)
    before = login.stat()
    with places_ready(masking, environ):
        pass
    after = login.stat()
    assert (login.read_text(), after.st_ino, after.st_mtime_ns) == (
        CONTENT,
        before.st_ino,
        before.st_mtime_ns,
    )
    assert after.st_ctime_ns == before.st_ctime_ns  # nor was it away for a moment


def test_a_link_of_the_persons_own_is_left_alone(
    masking: Masking, login: Path, environ: dict[str, str]
) -> None:
    login.symlink_to("../dotfiles/auth.json")
    with places_ready(masking, environ):
        pass
    assert os.readlink(login) == "../dotfiles/auth.json"


def test_a_place_is_held_until_the_last_run_ends(
    masking: Masking, login: Path, environ: dict[str, str]
) -> None:
    """Removing it would detach what another run has mounted there."""
    with ExitStack() as second:
        with places_ready(masking, environ):
            second.enter_context(places_ready(masking, environ))
        assert login.is_symlink()
    assert names(login) == ["nono"]


def test_a_run_that_fails_leaves_no_place(masking: Masking, login: Path, environ: dict[str, str]) -> None:
    with pytest.raises(LaunchError), places_ready(masking, environ):
        raise LaunchError("it is neither a program nor a script")
    assert names(login) == ["nono"]


def test_a_place_that_a_killed_run_left_is_removed_by_the_next(
    masking: Masking, login: Path, environ: dict[str, str]
) -> None:
    with places_ready(masking, environ):
        left = os.readlink(login)
    login.symlink_to(left)
    with places_ready(masking, environ):
        assert not login.exists()
    assert names(login) == ["nono"]


def test_a_login_is_written_where_no_command_can(
    masking: Masking, login: Path, environ: dict[str, str], tmp_path: Path
) -> None:
    with places_ready(masking, environ):
        login.write_text(CONTENT)
        assert login.resolve().is_relative_to(tmp_path / ".local/state/nono")


@pytest.mark.parametrize("kind", ["file", "link"])
@pytest.mark.parametrize("when", ["before", "meanwhile"])
def test_what_lies_in_the_private_directory_outside_becomes_no_login(
    kind: str, when: str, masking: Masking, login: Path, environ: dict[str, str], tmp_path: Path
) -> None:
    """A command without mounts of its own can write there."""

    def plant() -> None:
        planted = login.parent / "nono/outside.json"
        planted.parent.mkdir(exist_ok=True)
        if kind == "file":
            planted.write_text(CONTENT)
        else:
            planted.symlink_to(tmp_path / ".bashrc")

    if when == "before":
        plant()
    with places_ready(masking, environ):
        if when == "meanwhile":
            plant()
    assert not os.path.lexists(login)


@pytest.mark.parametrize("kind", ["directory", "fifo", "too much"])
def test_what_is_no_login_is_not_put_in_its_place(
    kind: str, masking: Masking, login: Path, environ: dict[str, str]
) -> None:
    with places_ready(masking, environ):
        written = Path(os.readlink(login))
        if kind == "directory":
            written.mkdir()
        elif kind == "fifo":
            os.mkfifo(written)
        else:
            written.write_bytes(bytes(own_logins.MAX_LOGIN_BYTES + 1))
    assert names(login) == ["nono"]


def replace(login: Path) -> None:
    """Rename a new file into place, as Codex does."""
    (login.parent / "new").write_text(CONTENT)
    (login.parent / "new").replace(login)


def write_through(login: Path) -> None:
    login.write_text(CONTENT)


def write_and_replace(login: Path) -> None:
    login.write_text("an older login")
    replace(login)


@pytest.mark.parametrize("log_in", [replace, write_through, write_and_replace])
def test_who_logs_in_outside_meanwhile_has_the_login_afterwards(
    log_in: Callable[[Path], None], masking: Masking, login: Path, environ: dict[str, str]
) -> None:
    with places_ready(masking, environ):
        log_in(login)
        assert login.read_text() == CONTENT
    assert not login.is_symlink()
    assert login.read_text() == CONTENT
    assert names(login) == ["auth.json", "nono"]


def test_who_logs_in_just_as_the_run_ends_has_the_login_afterwards(
    masking: Masking, login: Path, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = os.rename

    def late(source: str, target: str, **directories: int) -> None:
        monkeypatch.undo()
        replace(login)
        rename(source, target, **directories)

    with places_ready(masking, environ):
        monkeypatch.setattr(os, "rename", late)
    assert login.read_text() == CONTENT
    assert names(login) == ["auth.json", "nono"]


@pytest.mark.parametrize("state", ["on the same file system", "on another"])
def test_a_login_of_that_moment_is_never_where_a_command_could_read_it(
    state: str, masking: Masking, login: Path, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only its own name is denied to commands."""
    rename, seen = os.rename, list[str]()

    def late(source: str, target: str, **directories: int) -> None:
        replace(login)
        if state == "on another" and os.path.isabs(target):
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        rename(source, target, **directories)
        seen.extend(names(login))

    with places_ready(masking, environ):
        monkeypatch.setattr(os, "rename", late)
    monkeypatch.undo()
    assert login.read_text() == CONTENT
    assert (seen == ["nono"]) == (state == "on the same file system")
    assert names(login) == ["auth.json", "nono"]


@pytest.mark.parametrize("kind", ["link", "file"])
def test_what_is_in_the_way_of_the_directory_is_a_reason_not_to_start(
    kind: str, masking: Masking, login: Path, environ: dict[str, str], tmp_path: Path
) -> None:
    own = login.parent / "nono"
    if kind == "link":
        (tmp_path / "elsewhere").mkdir()
        own.symlink_to(tmp_path / "elsewhere")
    else:
        own.write_text("")
    with pytest.raises(NonoError, match="not a directory of your own"), places_ready(masking, environ):
        pass
    assert not login.is_symlink()


def test_what_is_removed_lies_in_the_directory_that_was_opened(
    masking: Masking, login: Path, environ: dict[str, str], tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "auth.json").write_text(CONTENT)
    with places_ready(masking, environ):
        (login.parent / "nono").rename(tmp_path / "away")
        (login.parent / "nono").symlink_to(elsewhere)
    assert (elsewhere / "auth.json").read_text() == CONTENT
    assert not os.path.lexists(login)


def test_a_lock_is_no_link(masking: Masking, login: Path, environ: dict[str, str], tmp_path: Path) -> None:
    with places_ready(masking, environ):
        pass
    [lock] = Path(environ["HOME"]).rglob("*.lock")
    lock.unlink()
    lock.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(NonoError, match="Too many levels"), places_ready(masking, environ):
        pass
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize(("cause", "is_looked_at"), [(errno.EROFS, False), (errno.EACCES, True)])
def test_a_directory_that_cannot_be_made_is_looked_at_unless_the_disk_is_why(
    cause: int, is_looked_at: bool, masking: Masking, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(path: str, *, create: bool) -> int:
        raise OSError(cause, os.strerror(cause))

    monkeypatch.setattr(own_logins, "open_private_dir", refused)
    with pytest.raises(NonoError, match=os.strerror(cause)) as told, places_ready(masking, environ):
        pass
    assert (told.value.hint is not None) is is_looked_at


def test_a_lock_that_is_never_free_is_a_reason_not_to_start(
    masking: Masking, login: Path, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(own_logins, "LOCK_WAIT_S", 0.1)
    with places_ready(masking, environ):
        pass
    [lock] = Path(environ["HOME"]).rglob("*.lock")
    with open(lock) as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(NonoError, match="has held the lock"), places_ready(masking, environ):
            pass
    assert names(login) == ["nono"]


def test_a_file_system_without_locks_is_a_reason_not_to_start(
    masking: Masking, login: Path, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(fd: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("nono.launch.proxy.own_logins.fcntl.flock", refused)
    with pytest.raises(NonoError, match=r"locked.*No locks"), places_ready(masking, environ):
        pass
    assert names(login) == ["nono"]


def owned(environ: dict[str, str], *, allow: tuple[str, ...] = ()) -> set[str]:
    """Return the files that a run of the profile codex would have of its own."""
    resolved = resolve(
        RunRequest(allow=allow),
        load("codex", environ).profile,
        environ=environ,
        cwd=environ["HOME"],
        fs=HostFilesystem(),
    )
    masking = with_own_logins(resolved, environ).capabilities.masking
    return {mask.path for mask in masking.masks if mask.own is not None}


def test_codex_has_a_file_of_its_own_unless_its_login_was_imported(
    login: Path, environ: dict[str, str]
) -> None:
    assert owned(environ) == {str(login)}
    imported = Path(AGENT_FILES["codex"].inside(environ))
    imported.parent.mkdir(parents=True)
    imported.write_text("{}")
    assert owned(environ) == set()


@pytest.mark.parametrize("is_there", [True, False])
@pytest.mark.parametrize("has_own", [True, False])
def test_runs_of_gemini_share_a_file_in_place_of_one_with_keys_of_the_person(
    is_there: bool, has_own: bool, environ: dict[str, str], tmp_path: Path
) -> None:
    keys = tmp_path / ".gemini/gemini-credentials.json"
    keys.parent.mkdir()
    if is_there:
        keys.write_text(CONTENT)
    profile = load("gemini-cli", environ).profile
    resolved = resolve(RunRequest(), profile, environ=environ, cwd=environ["HOME"], fs=HostFilesystem())
    masking = with_shared_files(resolved, environ, has_own=has_own).capabilities.masking
    shared = {mask.path: mask.own for mask in masking.masks if mask.is_shared}
    is_replaced = is_there or has_own  # without mounts of its own, a missing file stays missing
    assert shared == ({str(keys): f"{keys.parent}/nono"} if is_replaced else {})
    assert (f"{keys.parent}/nono" in masking.pinned) == is_replaced


@pytest.mark.parametrize("is_writable", [True, False])
def test_a_directory_of_gemini_that_may_not_be_written_keeps_no_run_from_starting(
    is_writable: bool, environ: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = tmp_path / ".gemini/gemini-credentials.json"
    keys.parent.mkdir()
    keys.write_text(CONTENT)
    profile = load("gemini-cli", environ).profile
    resolved = resolve(RunRequest(), profile, environ=environ, cwd=environ["HOME"], fs=HostFilesystem())
    monkeypatch.setattr("os.access", lambda path, mode: is_writable or path != str(keys.parent))
    masking = with_shared_files(resolved, environ, has_own=True).capabilities.masking
    assert [mask.is_shared for mask in masking.masks if mask.path == str(keys)] == [is_writable]


def test_codex_has_no_file_of_its_own_where_the_person_alone_lets_it_write(
    login: Path, environ: dict[str, str], tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    environ["CODEX_HOME"] = str(elsewhere)
    assert owned(environ, allow=(str(elsewhere),)) == set()


def test_a_login_inside_is_refused_for_the_reason_there_is(masking: Masking, environ: dict[str, str]) -> None:
    imported = Path(AGENT_FILES["codex"].inside(environ))
    imported.parent.mkdir(parents=True)
    none = Masking()
    assert _made_inside(environ, masking)["chatgpt"].refused is None
    assert "has no namespaces" in str(_made_inside(environ, none)["chatgpt"].refused)
    imported.write_text("{}")
    assert "the imported login" in str(_made_inside(environ, none)["chatgpt"].refused)


def test_a_login_that_is_a_key_is_refused_beside_a_key_that_would_win(environ: dict[str, str]) -> None:
    environ |= {"PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring", "PATH": "/nonexistent"}
    assert _keys_made_inside({"gh"}, environ)["gh"].refused is None
    assert _keys_made_inside({"github"}, environ) == {}  # of Copilot, whose login is no key
    in_variable = _keys_made_inside({"gh"}, {**environ, "GITHUB_TOKEN": "x"})["gh"].refused
    assert "in the variable GITHUB_TOKEN" in str(in_variable)
    resolver.save("github", Secret("real"), environ)
    refused = _keys_made_inside({"gh"}, environ)["gh"].refused
    assert refused is not None
    assert "credentials.json" in refused.reason
    assert "nono credential remove github" in str(refused.hint)
