"""nono's own profiles are denied to a command that could write them."""

from __future__ import annotations

from pathlib import Path

import pytest

from nono.policy.capability import Access, Grant
from nono.policy.files.own_state import own_denials
from nono.policy.host_filesystem import HostFilesystem


def test_the_configuration_is_denied_whole_and_each_link_in_it_with_its_target(tmp_path: Path) -> None:
    config, dotfiles = tmp_path / ".config/nono", tmp_path / "dotfiles"
    (config / "profiles").mkdir(parents=True)
    dotfiles.mkdir()
    for file in (config / "config.toml", config / "profiles/mine.json", dotfiles / "work.json"):
        file.write_text("")
    (config / "profiles/work.json").symlink_to(dotfiles / "work.json")

    def denied(access: Access) -> set[str]:
        grant = Grant(str(tmp_path), access, True, "user", str(tmp_path))
        return {each.path for each in own_denials((grant,), {"HOME": str(tmp_path)}, HostFilesystem())}

    assert denied(Access.READ) == set()
    link = config / "profiles/work.json"
    assert denied(Access.READWRITE) == {str(config), str(link), str(dotfiles / "work.json")}


@pytest.mark.parametrize(("below", "is_denied"), [(".config", True), (".cache", False)])
def test_profiles_of_runs_without_the_variable_are_denied_as_well(
    below: str, is_denied: bool, tmp_path: Path
) -> None:
    usual = tmp_path / ".config/nono"
    usual.mkdir(parents=True)
    (tmp_path / ".cache").mkdir()
    grant = Grant(str(tmp_path / below), Access.READWRITE, True, "user", str(tmp_path / below))
    environ = {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path / "elsewhere")}
    denied = {each.path for each in own_denials((grant,), environ, HostFilesystem())}
    assert denied == ({str(usual)} if is_denied else set())
