"""nono.launch.around.own_environment: what a command finds of nono's installation."""

from __future__ import annotations

import sys
from os.path import dirname, realpath
from pathlib import Path

import pytest

from nono.launch.around.own_environment import OwnEnvironment, own_environment
from nono.policy.files.denials import DenyRules
from nono.policy.path_expansion import PathContext


def of_run(home: Path) -> OwnEnvironment:
    """Return that of a run in a shell where nono's own virtual environment is active."""
    context = PathContext(str(home), "/", "/", {"HOME": str(home)})
    search_path = f"{realpath(dirname(sys.executable))}:/usr/bin"
    return own_environment((), DenyRules(), (), context, search_path, makes=True)


pytestmark = pytest.mark.skipif(sys.prefix == sys.base_prefix, reason="nono is not in a virtual environment")


def test_a_command_finds_nothing_that_another_run_left_beside_nono(tmp_path: Path) -> None:
    """One that is granted ~/.cache may write there, and this directory may be the first of PATH."""
    found = of_run(tmp_path)
    links = tmp_path / ".cache/nono/bin"
    assert [each.name for each in links.iterdir()] == ["nono"]
    (links / "git").write_text("#!/bin/sh\n")
    (links / "ls").symlink_to("git")
    (links / "nono").unlink()
    (links / "nono").symlink_to("git")
    again = of_run(tmp_path)
    assert again == found
    assert [each.name for each in links.iterdir()] == ["nono"]
    assert (links / "nono").readlink() == Path(realpath(dirname(sys.executable)), "nono")


@pytest.mark.parametrize("link", [".cache/nono/bin", ".cache/nono"])
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
    assert of_run(tmp_path).search_path == f"{tmp_path}/.cache/nono/bin:/usr/bin"


def test_caches_that_the_person_keeps_elsewhere_are_used(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / ".cache").symlink_to("disk")
    assert of_run(tmp_path).search_path == f"{tmp_path}/disk/nono/bin:/usr/bin"
