"""What a profile in a file, a manifest and the options come to."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from nono.cli.args.parse import parse
from nono.cli.resolution import refuse_turnable, resolve_given
from nono.errors import ConfigError, NonoError
from nono.policy.capability import Limits
from nono.policy.host_filesystem import HostFilesystem


def warnings(profile: Path, *flags: str, home: Path) -> str:
    argv = [*flags, "--profile", str(profile), "--", "true"]
    environ = {"HOME": str(home), "TMPDIR": str(home)}
    resolved = resolve_given(parse("run", "", argv, environ), environ)
    return " ".join((*resolved.insisted, *(each.text for each in resolved.of_paths)))


@pytest.mark.parametrize(("flag", "is_warned"), [("--allow", True), ("--write", True), ("--read", False)])
def test_a_profile_inside_a_writable_grant_is_warned_about(
    flag: str, is_warned: bool, tmp_path: Path
) -> None:
    home, project = tmp_path / "home", tmp_path / "project"
    home.mkdir()
    project.mkdir()
    inside = project / "agent.json"
    inside.write_text(json.dumps({"groups": {"exclude": ["system_write_linux"]}}))
    outside = home / "agent.json"
    outside.write_text(inside.read_text())
    warned = "may write its own profile" in warnings(inside, flag, str(project), home=home)
    assert warned == is_warned
    assert "may write its own profile" not in warnings(outside, flag, str(project), home=home)


@pytest.mark.parametrize(("is_read_only", "word"), [(True, "is read-only"), (False, "mkdir -p ")])
def test_a_missing_directory_is_to_be_made_where_one_can_be(
    is_read_only: bool, word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def statvfs(path: str) -> SimpleNamespace:
        asked.append(path)
        return SimpleNamespace(f_flag=os.ST_RDONLY if is_read_only else 0)

    monkeypatch.setattr(os, "statvfs", statvfs)
    argv = ["--allow", str(tmp_path / "a/b"), "--", "true"]
    with pytest.raises(NonoError, match="does not exist") as caught:
        resolve_given(parse("run", "", argv, {}), {"HOME": str(tmp_path)})
    assert word in str(caught.value.hint)
    assert "--allow-missing" in str(caught.value.hint)
    assert asked == [str(tmp_path)]


@pytest.mark.parametrize(
    ("resources", "limits"),
    [({}, Limits()), ({"memory_bytes": 1 << 29, "max_processes": 64}, Limits(1 << 29, 64))],
)
def test_the_limits_of_a_manifest_are_those_of_the_run(
    resources: dict[str, int], limits: Limits, tmp_path: Path
) -> None:
    file = tmp_path / "manifest.json"
    file.write_text(json.dumps({"version": "1", "resources": resources}))
    environ = {"HOME": str(tmp_path), "TMPDIR": str(tmp_path)}
    resolved = resolve_given(parse("run", "", ["--config", str(file), "--", "true"], environ), environ)
    assert resolved.capabilities.limits == limits


def test_a_link_in_the_commands_reach_at_another_mount_leads_no_file_of_nonos(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    granted, second = tmp_path / "granted", tmp_path / "second"
    for directory in (granted, second):
        directory.mkdir()
    (second / "logs").symlink_to(tmp_path)
    environ = {"HOME": "/nowhere"}
    argv = ["--allow", str(granted), "--", "true"]
    resolved = resolve_given(parse("run", "", argv, environ), environ, cwd="/")
    grants = tuple(grant for grant in resolved.capabilities.grants if grant.path == str(granted))
    resolved = resolved._replace(capabilities=resolved.capabilities._replace(grants=grants))
    refuse_turnable("--log-file", f"{second}/logs/nono.log", resolved)
    monkeypatch.setattr(
        HostFilesystem, "aliases", lambda _, path, **__: (str(second),) if path == str(granted) else ()
    )
    with pytest.raises(ConfigError, match=f"by the link '{second}/logs', in {second}, which the command may"):
        refuse_turnable("--log-file", f"{second}/logs/nono.log", resolved)
    refuse_turnable("--log-file", f"{second}/nono.log", resolved)
