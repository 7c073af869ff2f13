"""nono's own profiles are denied to a command that could write them."""

from __future__ import annotations

from pathlib import Path

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
