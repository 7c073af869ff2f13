"""nono.launch.mcp.place: where a server works is nobody's to choose."""

from __future__ import annotations

from pathlib import Path

import pytest

from nono.launch.mcp.place import made_workdir


@pytest.mark.parametrize("link", [".cache/nono", ".cache/nono/mcp", ".cache/nono/mcp/tracker"])
def test_no_link_that_a_run_left_among_caches_leads_a_server_elsewhere(link: str, tmp_path: Path) -> None:
    """The server may write its working directory, and starts what `npx` finds in it."""
    environ = {"HOME": str(tmp_path)}
    projects = tmp_path / "projects"
    for directory in ("mcp/tracker", "tracker"):
        (projects / directory).mkdir(parents=True)
    (tmp_path / link).parent.mkdir(parents=True)
    (tmp_path / link).symlink_to(projects)
    with pytest.raises(OSError, match=f"a link leads from {tmp_path}/.cache/nono/mcp/tracker to {projects}"):
        made_workdir("tracker", environ)
    (tmp_path / link).unlink()
    assert made_workdir("tracker", environ) == f"{tmp_path}/.cache/nono/mcp/tracker"


def test_caches_may_be_on_another_disk(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / ".cache").symlink_to("disk")
    made_workdir("tracker", {"HOME": str(tmp_path)})
    assert (tmp_path / "disk/nono/mcp/tracker").is_dir()
