"""The profile that a watched run gives, and the flags offered for what it was refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from nono.launch.learn.plan import plan_learning
from nono.launch.learn.result import LearnedProfile, build_learned_profile
from nono.policy.host_filesystem import HostFilesystem
from nono.policy.learning.observation import Learned, Observation, Refused, Site
from nono.policy.profile.store import profile_of
from nono.policy.request import RunRequest
from nono.policy.resolve import resolve

NOTHING = Learned((), (), {}, {}, frozenset(), frozenset(), frozenset(), 0)


class Seen:
    """An observation that is over."""

    def __init__(self, learned: Learned) -> None:
        self._learned = learned

    def learned(self) -> Learned:
        return self._learned


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("nono.launch.learn.plan.SETTINGS", ())
    place = tmp_path.resolve() / "home"
    (place / "project").mkdir(parents=True)
    return place


def built(
    home: Path, learned: Learned, profile: Mapping[str, Any] = {}, *, is_new: bool = True
) -> LearnedProfile:
    environ = {"HOME": str(home), "PATH": "/usr/bin", "TMPDIR": str(home / "tmp")}
    fs, cwd = HostFilesystem(), str(home / "project")
    parsed = profile_of({"meta": {"name": "x"}, **profile}, "x.json", environ)
    base = resolve(RunRequest(), parsed, environ=environ, cwd=cwd, fs=fs)
    asked = resolve(RunRequest(learns=True, allow_cwd=True), parsed, environ=environ, cwd=cwd, fs=fs)
    plan = plan_learning(base, asked, fs)._replace(observation=cast("Observation", Seen(learned)))
    return build_learned_profile(plan, {"meta": {"name": "x"}}, "x.json", is_new=is_new, cwd=cwd)


def flags(home: Path, *refused: tuple[str, str]) -> Sequence[str]:
    asked = tuple(Refused(path, access, "nothing names it", may_be_asked=True) for path, access in refused)
    return built(home, NOTHING._replace(refused=asked)).flags


def test_a_flag_is_offered_for_a_path_once_with_all_that_was_tried(home: Path) -> None:
    (home / "data/deep").mkdir(parents=True)
    (home / "data/file").touch()
    data, file = f"{home}/data", f"{home}/data/file"
    assert flags(home, (file, "read"), (file, "write")) == (f"--allow-file {file}",)
    assert flags(home, (data, "write")) == (f"--allow {data}",)
    assert flags(home, (data, "read"), (f"{data}/deep", "read")) == (f"--read {data}",)
    assert flags(home, (data, "read"), (f"{data}/deep", "write")) == (
        f"--read {data}",
        f"--allow {data}/deep",
    )


@pytest.mark.parametrize(
    "path", ["", "/.bashrc", "/a\nb"], ids=["the home", "what a shell runs", "two lines"]
)
def test_no_flag_is_offered_for_what_a_command_should_not_choose(home: Path, path: str) -> None:
    assert flags(home, (f"{home}{path}", "write")) == ()
    (home / "data").touch()
    assert flags(home, (f"{home}/data", "write")) == (f"--write-file {home}/data",)


def test_no_flag_grants_a_whole_home(home: Path) -> None:
    assert flags(home, (str(home), "read")) == ()
    assert flags(home, (f"{home}/project", "read")) == (f"--read {home}/project",)


def test_what_steers_programs_outside_may_be_read(home: Path) -> None:
    (home / ".bashrc").touch()
    assert flags(home, (f"{home}/.bashrc", "read")) == (f"--read-file {home}/.bashrc",)


SITE = Site("https", "a.test", 443)


@pytest.mark.parametrize(
    ("learned", "is_new", "is_blocked"),
    [
        (NOTHING, True, True),
        (NOTHING, False, False),
        (NOTHING._replace(sites={SITE: frozenset({("GET", "/x")})}), True, False),
    ],
    ids=["no host", "a profile that was there", "a host"],
)
def test_only_a_new_profile_of_a_command_that_reached_no_host_is_without_a_network(
    home: Path, learned: Learned, is_new: bool, is_blocked: bool
) -> None:
    added = built(home, learned, is_new=is_new).added
    assert added.get("network", {}).get("block", False) == is_blocked
