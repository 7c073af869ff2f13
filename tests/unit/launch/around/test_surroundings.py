"""What surrounds a command."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from contextlib import chdir
from pathlib import Path
from typing import Any, NamedTuple, cast

import pytest

from nono.errors import NonoError
from nono.launch.around import surroundings
from nono.policy.capability import Access, CapabilitySet, Grant
from nono.policy.environment.inheritance import EnvironmentRules, child_environment
from nono.policy.path_expansion import PathContext
from nono.sandbox.plan import private_view
from support.host_facts import PROXIED


@pytest.mark.parametrize("is_read_only", [False, True])
def test_no_directory_is_made_in_a_state_that_is_mounted_read_only(
    is_read_only: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is there is the run's own all the same: somebody may fill it by another mount."""
    monkeypatch.setattr(surroundings, "is_read_only", lambda _: is_read_only)
    state = tmp_path / ".claude"
    (state / "ide").mkdir(parents=True)
    grants = (Grant(str(state), Access.READWRITE, True, "profile", str(state)),)
    home = str(tmp_path)
    paths = PathContext(home, home, home, {"HOME": home})
    own = surroundings._rendezvous(PROXIED._replace(grants=grants), paths)
    names = {Path(grant.path).name for grant in own}
    assert "ide" in names
    assert ("session-env" in names) == (not is_read_only)


@pytest.mark.parametrize(
    ("written", "is_fixed"),
    [(".cache", True), ("run", True), (".cache/git/other", False), ("project", False)],
)
def test_services_are_fixed_where_the_command_could_move_them(
    written: str, is_fixed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(private_view, "DIRECTORIES", ())  # this home is in one
    cache = tmp_path / ".cache/git/credential"
    for directory in (cache, tmp_path / "run"):
        directory.mkdir(parents=True)
    environ = {"HOME": str(tmp_path), "XDG_RUNTIME_DIR": f"{tmp_path}/run"}
    path = f"{tmp_path}/{written}"
    granted = PROXIED._replace(grants=(Grant(path, Access.READWRITE, True, "user", path),))
    found = surroundings._with_services_fixed(granted, environ).fixed_sockets
    assert (str(cache) in found) == is_fixed


class Policy(NamedTuple):
    """What of a policy decides which services are hidden."""

    capabilities: CapabilitySet
    environment: EnvironmentRules


@pytest.mark.parametrize("is_judged", [False, True], ids=["closed", "fixed"])
def test_a_start_is_refused_that_would_wait_for_mounts_over_any_number_of_sockets(
    is_judged: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One run leaves links to a socket in a directory, and the next has that of its own, or shares it."""
    runtime_dir = tmp_path / "run"
    runtime_dir.mkdir(0o700)
    environ = {"HOME": str(tmp_path / "home"), "XDG_RUNTIME_DIR": str(runtime_dir)}
    shared, elsewhere = (
        Grant(path, Access.READWRITE, True, "user", path)
        for path in (str(runtime_dir), f"{tmp_path}/home/.cache")
    )
    monkeypatch.setattr(private_view, "DIRECTORIES", ())  # this runtime directory is in one

    def start(*grants: Grant) -> None:
        capabilities = PROXIED._replace(grants=grants)
        if is_judged:
            surroundings._with_services_fixed(capabilities, environ)
        else:
            policy = Policy(capabilities, EnvironmentRules())
            surroundings._without_services(cast(Any, policy), environ)

    with chdir(runtime_dir), socket.socket(socket.AF_UNIX) as server:
        server.bind("vscode-0")
        server.listen()
        start(shared)
        for number in range(1, 1001):
            os.link("vscode-0", f"vscode-{number}")
        start(elsewhere)
        with pytest.raises(NonoError, match=f"more sockets lie in {runtime_dir} than"):
            start(shared)


@pytest.mark.parametrize(
    ("outside", "asked", "inside"),
    [
        ({}, (), {"MOZ_ASSUME_USER_NS": "0", "FAKEROOTDONTTRYCHOWN": "1"}),
        ({"MOZ_ASSUME_USER_NS": "1"}, (), {"MOZ_ASSUME_USER_NS": "1", "FAKEROOTDONTTRYCHOWN": "1"}),
        ({}, (("MOZ_ASSUME_USER_NS", "1"),), {"MOZ_ASSUME_USER_NS": "1", "FAKEROOTDONTTRYCHOWN": "1"}),
        ({"FAKEROOTDONTTRYCHOWN": ""}, (), {"MOZ_ASSUME_USER_NS": "0", "FAKEROOTDONTTRYCHOWN": ""}),
    ],
    ids=["unset", "set outside", "set by the profile", "another set outside"],
)
def test_programs_are_told_what_they_find_inside_unless_a_person_says_otherwise(
    outside: Mapping[str, str], asked: tuple[tuple[str, str], ...], inside: Mapping[str, str]
) -> None:
    rules = surroundings.with_told_programs(EnvironmentRules(fixed=asked), outside, knows_root=True)
    assert child_environment(outside, rules) == inside


@pytest.mark.parametrize(
    ("knows_root", "outside", "inside"),
    [(False, {}, "false"), (True, {}, None), (False, {"NX_DAEMON": "true"}, "true")],
    ids=["a stranger's", "root's or its own", "set outside"],
)
def test_nx_waits_for_no_daemon_where_the_root_directory_is_a_strangers(
    knows_root: bool, outside: Mapping[str, str], inside: str | None
) -> None:
    rules = surroundings.with_told_programs(EnvironmentRules(), outside, knows_root=knows_root)
    assert child_environment(outside, rules).get("NX_DAEMON") == inside


@pytest.mark.parametrize("is_passed", [False, True])
def test_a_search_path_that_a_person_insists_on_stays_as_it_is(is_passed: bool) -> None:
    rules = EnvironmentRules(passed=frozenset({"PATH"}) if is_passed else frozenset())
    assert surroundings._search_path(rules, {"PATH": "/bin"}) == (None if is_passed else "/bin")
