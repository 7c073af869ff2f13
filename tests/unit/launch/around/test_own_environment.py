"""nono.launch.around.own_environment: what a command finds of nono's installation."""

from __future__ import annotations

import hashlib
import os
import sys
from os.path import dirname, realpath
from pathlib import Path

import pytest

from nono.launch.around import own_environment as own_environment_module
from nono.launch.around.own_environment import OwnEnvironment, own_environment
from nono.policy.capability import Denial
from nono.policy.files.denials import DenyRules
from nono.policy.path_expansion import PathContext

OWN = realpath(dirname(sys.executable))
LINKS = f"nono/bin/{hashlib.sha256(os.fsencode(OWN)).hexdigest()[:16]}"


def of_run(home: Path) -> OwnEnvironment:
    """Return that of a run in a shell where nono's own virtual environment is active."""
    context = PathContext(str(home), "/", "/", {"HOME": str(home)})
    search_path = f"{realpath(dirname(sys.executable))}:/usr/bin"
    return own_environment((), DenyRules(), (), context, search_path, makes=True)


pytestmark = pytest.mark.skipif(sys.prefix == sys.base_prefix, reason="nono is not in a virtual environment")


def test_a_command_finds_nothing_that_another_run_left_beside_nono(tmp_path: Path) -> None:
    """One that is granted ~/.cache may write there, and this directory may be the first of PATH."""
    found = of_run(tmp_path)
    links = tmp_path / ".cache" / LINKS
    assert [each.name for each in links.iterdir()] == ["nono"]
    (links / "git").write_text("#!/bin/sh\n")
    (links / "ls").symlink_to("git")
    (links / "nono").unlink()
    (links / "nono").symlink_to("git")
    again = of_run(tmp_path)
    assert again == found
    assert [each.name for each in links.iterdir()] == ["nono"]
    assert (links / "nono").readlink() == Path(OWN, "nono")


def test_a_second_installation_leaves_a_running_command_its_own_nono(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as a checkout's beside that of `uv tool`: the commands of one are not granted the other."""
    places = [OWN, f"{tmp_path}/other/bin", f"{tmp_path}/other-bin", f"{tmp_path}/{'deep/' * 60}bin"]
    found = []
    for place in places:
        os.makedirs(place, exist_ok=True)
        monkeypatch.setattr(sys, "executable", f"{place}/python3")
        found.append(str(of_run(tmp_path).search_path).partition(":")[0])
    assert [str(Path(each, "nono").readlink()) for each in found] == [f"{place}/nono" for place in places]


def test_an_installation_below_a_name_with_a_colon_is_found_by_a_link_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PATH would take what is behind the colon for a directory of the project."""
    own = tmp_path / "a:b/bin"
    own.mkdir(parents=True)
    (tmp_path / "link").symlink_to(own)
    monkeypatch.setattr(sys, "executable", str(own / "python3"))
    context = PathContext(str(tmp_path), "/", "/", {"HOME": str(tmp_path)})
    of_link = own_environment((), DenyRules(), (), context, f"{tmp_path}/link:/usr/bin", makes=True)
    links, *others = str(of_link.search_path).split(":")
    assert others == ["/usr/bin"]
    assert Path(links, "nono").readlink() == own / "nono"


@pytest.mark.parametrize(
    ("root", "denied", "home", "is_granted"),
    [
        ("/opt/other", "/opt/other", "/home/me", True),
        ("/opt/env/state", "/opt/other", "/home/me", False),
        ("/opt", "/opt/other", "/home/me", False),
        ("/opt/other", "/opt", "/home/me", False),
        ("/opt/other", "/opt/env/keys", "/home/me", False),
        ("/opt/other", "/opt/other", "/opt/env/home", False),
    ],
    ids=["beside it", "state in it", "in the state", "denied", "a denial in it", "the home in it"],
)
def test_an_installation_is_granted_only_where_nothing_kept_from_the_command_lies_in_it(
    root: str, denied: str, home: str, is_granted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(own_environment_module, "_installed", lambda: iter(("/opt/env",)))
    denials = DenyRules((Denial(denied, denied, "group:g"),))
    context = PathContext(home, "/", "/", {"HOME": home})
    found = own_environment((), denials, (root,), context, None, makes=False)
    assert [each.path for each in found.grants] == (["/opt/env"] if is_granted else [])


@pytest.mark.parametrize("link", [f".cache/{LINKS}", ".cache/nono/bin", ".cache/nono"])
def test_a_link_that_another_run_left_there_grants_nothing(link: str, tmp_path: Path) -> None:
    documents = tmp_path / "documents"
    (documents / "bin").mkdir(parents=True)
    (documents / "note").write_text("private\n")
    (tmp_path / link).parent.mkdir(parents=True)
    (tmp_path / link).symlink_to(documents)
    found = of_run(tmp_path)
    assert [each for each in found.grants if each.path.startswith(str(tmp_path))] == []
    assert found.search_path == "/usr/bin"
    assert sorted(each.name for each in documents.iterdir()) == ["bin", "note"]
    assert [*(documents / "bin").iterdir()] == []

    (tmp_path / link).unlink()
    assert of_run(tmp_path).search_path == f"{tmp_path}/.cache/{LINKS}:/usr/bin"


def test_caches_that_the_person_keeps_elsewhere_are_used(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / ".cache").symlink_to("disk")
    assert of_run(tmp_path).search_path == f"{tmp_path}/disk/{LINKS}:/usr/bin"
