"""What a watched run may use beyond its profile, and what it may not."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from nono.launch.learn import plan
from nono.launch.learn.plan import LearnPlan, plan_learning
from nono.policy.environment.inheritance import child_environment
from nono.policy.host_filesystem import HostFilesystem
from nono.policy.path_expansion import is_within
from nono.policy.profile.store import profile_of
from nono.policy.request import RunRequest
from nono.policy.resolve import resolve


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a home with a project and settings. The system's settings are few, for the time it takes."""
    monkeypatch.setattr(plan, "SETTINGS", ((str(tmp_path / "etc"), 16),))
    place = tmp_path.resolve() / "home"
    for name in ("project", ".config", "tmp"):
        (place / name).mkdir(parents=True)
    return place


def planned(home: Path, profile: Mapping[str, Any] = {}, **variables: str) -> LearnPlan:
    environ = {"HOME": str(home), "PATH": "/usr/bin", "TMPDIR": str(home / "tmp"), **variables}
    fs, cwd = HostFilesystem(), str(home / "project")
    parsed = profile_of({"meta": {"name": "x"}, **profile}, "x.json", environ)
    base = resolve(RunRequest(), parsed, environ=environ, cwd=cwd, fs=fs)
    asked = resolve(RunRequest(learns=True, allow_cwd=True), parsed, environ=environ, cwd=cwd, fs=fs)
    return plan_learning(base, asked, fs)


def may_read(found: LearnPlan, path: Path | str) -> bool:
    return any(is_within(str(path), grant.path) for grant in found.watched)


def written(found: LearnPlan) -> list[str]:
    return [grant.path for grant in found.watched if grant.access.writes]


def test_a_directory_for_temporary_files_is_written_unless_more_is_in_it(home: Path) -> None:
    assert written(planned(home)) == [str(home / "tmp")]
    assert written(planned(home, TMPDIR=str(home))) == []
    assert written(planned(home, TMPDIR=str(home.parent))) == []
    (home / ".config/my_secret").touch()
    assert written(planned(home, TMPDIR=str(home / ".config"))) == []


def test_a_directory_for_temporary_files_behind_a_link_is_not_granted(home: Path) -> None:
    """A command of an earlier run may have laid it."""
    (home / "linked").symlink_to(home / "tmp")
    assert written(planned(home, TMPDIR=str(home / "linked"))) == []
    assert written(planned(home, TMPDIR=str(home / "not there"))) == []


def test_what_is_called_a_secret_is_kept_out_of_the_settings(home: Path) -> None:
    deep = home / ".config/a/b"
    deep.mkdir(parents=True)
    for name in (".config/my_secret", ".config/a/b/my_secret", ".my_secret", ".config/plain"):
        (home / name).touch()
    (home / ".config/linked_secret").symlink_to("/usr/lib")
    found = planned(home)
    secrets = {str(home / name) for name in (".config/my_secret", ".config/a/b/my_secret", ".my_secret")}
    assert {path for path in found.kept_out if path.endswith("_secret")} == secrets
    assert [may_read(found, path) for path in sorted(secrets)] == [False] * 3
    assert may_read(found, home / ".config/plain")


@pytest.mark.parametrize(
    ("mode", "is_directory", "is_kept_out"),
    [
        (0o755, True, False),
        (0o711, True, True),
        (0o744, True, True),
        (0o644, False, False),
        (0o640, False, True),
    ],
)
def test_settings_of_the_system_that_not_everybody_may_read_are_kept_out(
    home: Path, mode: int, is_directory: bool, is_kept_out: bool
) -> None:
    settings = home.parent / "etc/service"
    settings.parent.mkdir()
    settings.mkdir() if is_directory else settings.touch()
    settings.chmod(mode)
    assert (str(settings) in planned(home).kept_out) == is_kept_out


def test_the_file_of_a_services_key_is_not_read(home: Path) -> None:
    for name in ("svc/plain", "other"):
        (home / ".config" / name).parent.mkdir(exist_ok=True)
        (home / ".config" / name).touch()
    service = {
        "upstream": "https://api.svc.test",
        "credential_key": f"file://{home}/.config/svc/plain",
        "env_var": "SVC_KEY",
    }
    profile = {"network": {"credentials": ["svc"], "custom_credentials": {"svc": service}}}
    assert may_read(planned(home), home / ".config/svc/plain")
    found = planned(home, profile)
    assert not may_read(found, home / ".config/svc/plain")
    assert may_read(found, home / ".config/other")


def test_every_host_is_looked_into(home: Path) -> None:
    entry = {"domain": "a.test", "endpoints": [{"method": "GET", "path": "/x"}]}
    assert planned(home, {"network": {"allow_domain": [entry]}}).resolved.scopes == ()


@pytest.mark.parametrize("path", ["/sys/fs", "/sys/kernel"])
def test_the_state_of_the_kernel_is_no_setting(home: Path, path: str) -> None:
    found = planned(home)
    assert not may_read(found, path)
    assert may_read(found, "/sys/devices") or may_read(found, "/sys/class")


def test_no_key_of_a_known_service_is_inherited_even_where_a_profile_passes_it_on(home: Path) -> None:
    """A watched command is granted more than the profile will grant."""
    given = {"OPENAI_API_KEY": "not-shaped-like-one", "EDITOR_OF_MINE": "ed"}
    found = planned(home, {"environment": {"allow_vars": ["*", "OPENAI_API_KEY"]}}, **given)
    passed = child_environment(found.resolved.path_context.environ, found.resolved.environment)
    assert ("OPENAI_API_KEY" in passed, "EDITOR_OF_MINE" in passed) == (False, True)
    ordinary = child_environment(found.base.path_context.environ, found.base.environment)
    assert "OPENAI_API_KEY" in ordinary
