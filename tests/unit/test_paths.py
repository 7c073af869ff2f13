"""Where nono keeps its own files."""

from __future__ import annotations

import pytest

from nono.paths import is_session_id, protected_roots, state_root

HOME = {"HOME": "/home/ada"}
OWN = "/home/ada/.cache/nono/caches/work-0/state"


@pytest.mark.parametrize(
    ("environ", "root"),
    [
        pytest.param({"XDG_STATE_HOME": OWN}, "/home/ada/.local/state/nono", id="given by a run"),
        pytest.param({"XDG_STATE_HOME": "/tmp/x"}, "/tmp/x/nono", id="chosen"),
        pytest.param({}, "/home/ada/.local/state/nono", id="usual"),
    ],
)
def test_a_nono_inside_a_run_keeps_nothing_where_the_command_keeps_its_state(
    environ: dict[str, str], root: str
) -> None:
    assert state_root(HOME | environ) == root


@pytest.mark.parametrize("environ", [{}, {"XDG_STATE_HOME": "/tmp/x"}, {"XDG_STATE_HOME": OWN}])
def test_the_state_of_runs_without_the_variable_is_always_protected(environ: dict[str, str]) -> None:
    roots = protected_roots(HOME | environ)
    assert {"/home/ada/.local/state/nono", "/home/ada/.nono", state_root(HOME | environ)} == {*roots}


@pytest.mark.parametrize("name", ["a", "_", "-", "0f" * 8, "Z" * 64])
def test_a_session_id_is_a_plain_name(name: str) -> None:
    assert is_session_id(name)
    assert not any(is_session_id(other) for other in ("", f"{name}.", f"{name}/", f"{name}\n", "Z" * 65))
