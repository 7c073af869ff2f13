"""nono.policy.path_expansion: what the variables of a profile's paths stand for."""

from __future__ import annotations

import pytest

from nono.policy.path_expansion import PathContext, UnsetVariableError

HOME, WORK = "/home/ada", "/home/ada/work"


def path_context(**environ: str) -> PathContext:
    return PathContext(HOME, WORK, WORK, {"HOME": HOME, **environ}, 1000)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("~", HOME),
        ("~/x", f"{HOME}/x"),
        ("$HOME/x", f"{HOME}/x"),
        ("$WORKDIR/x", f"{WORK}/x"),
        ("x", f"{WORK}/x"),
        ("/run/user/$UID", "/run/user/1000"),
        ("$XDG_STATE_HOME", f"{HOME}/.local/state"),
        ("$NONO_CONFIG", f"{HOME}/.config/nono"),
        ("$NONO_PACKAGES", f"{HOME}/.config/nono/packages"),
        ("$TMPDIR", "/tmp"),
        ("/a$", "/a$"),
        ("/${HOME}", "/${HOME}"),
    ],
)
def test_a_path_is_expanded_name_by_name(text: str, path: str) -> None:
    assert path_context().of_profile(text) == path


@pytest.mark.parametrize("name", ["HOME", "WORKDIR", "UID", "NONO_CONFIG", "NONO_PACKAGES"])
def test_the_environment_redirects_no_name_of_nonos_own(name: str) -> None:
    plain = path_context().of_profile(f"${name}/x")
    assert PathContext(HOME, WORK, WORK, {"HOME": HOME, name: "/"}, 1000).of_profile(f"${name}/x") == plain


def test_a_name_is_read_as_a_whole() -> None:
    assert path_context(HOMEX="/elsewhere").of_profile("$HOMEX") == "/elsewhere"
    with pytest.raises(UnsetVariableError):
        path_context().of_profile("$HOMEX")
