"""nono.launch.state.file: which file is taken for the state of the run."""

from __future__ import annotations

from pathlib import Path

import pytest

from nono import paths
from nono.errors import NonoError
from nono.launch.state.file import read_own_state


@pytest.mark.parametrize("mode", [0o644, 0o620, 0o400])
def test_a_file_of_another_mode_is_not_the_state_of_the_run(tmp_path: Path, mode: int) -> None:
    file = tmp_path / "state.json"
    file.write_text("{}")
    file.chmod(mode)
    with pytest.raises(NonoError, match="it must belong to this user and have mode 0600"):
        read_own_state({paths.STATE_VARIABLE: str(file)})
