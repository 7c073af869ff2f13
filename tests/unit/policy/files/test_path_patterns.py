"""nono.policy.files.path_patterns: which paths a pattern of a profile means."""

from __future__ import annotations

from collections.abc import Callable
from unittest.mock import Mock

import pytest

from nono.errors import ConfigError
from nono.policy.files import path_patterns
from nono.policy.files.path_patterns import matches
from nono.policy.path_expansion import Filesystem
from nono.policy.resolve import Resolved
from nono.policy.schema.profile import Filesystem as Paths
from nono.policy.schema.profile import Profile

WORK = "/home/ada/work"
MakeFilesystem = Callable[..., Filesystem]
Resolve = Callable[..., Resolved]


@pytest.fixture
def fs(make_fs: MakeFilesystem) -> Filesystem:
    return make_fs(
        directories=(f"{WORK}/a/b", f"{WORK}/docs"),
        files=(f"{WORK}/.env", f"{WORK}/a/.env", f"{WORK}/a/b/.env", f"{WORK}/a/b/x.py", "/data/vault/.env"),
        links={f"{WORK}/out": "/data/vault", f"{WORK}/a/in": f"{WORK}/docs"},
    )


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("*.py", ["main.py"]),
        ("**/*.py", ["a/b/x.py", "main.py"]),
        ("**/.env", [".env", "a/.env", "a/b/.env"]),
        ("*/.env", ["a/.env"]),
        ("a/*/x.py", ["a/b/x.py"]),
        ("a/**", ["a/.env", "a/b", "a/b/.env", "a/b/x.py"]),  # a/in leads out of a
        ("*/i*", ["a/in"]),
        ("a/**/b/.env", ["a/b/.env"]),
        ("m*n.py", ["main.py"]),
        ("m*n*n.py", []),
        ("o*", []),  # a link that leads out
        ("nothing/*", []),
        ("main.py/*", []),
    ],
)
def test_a_pattern_means_what_is_there(fs: Filesystem, pattern: str, found: list[str]) -> None:
    assert matches(f"{WORK}/{pattern}", fs, stays_inside=True) == tuple(f"{WORK}/{name}" for name in found)


def test_a_denial_matches_a_link_that_leads_out_without_walking_it(fs: Filesystem) -> None:
    assert matches(f"{WORK}/o*", fs, stays_inside=False) == (f"{WORK}/out",)
    assert f"{WORK}/out/.env" not in matches(f"{WORK}/**/.env", fs, stays_inside=False)


def test_directories_that_a_command_made_very_deep_are_searched() -> None:
    fs = Mock()
    fs.entry.side_effect = lambda path: Mock(kind="file" if path.endswith(".env") else "dir")
    fs.names.side_effect = lambda path: ("d" if path.count("/") < 1500 else ".env",)
    (found,) = matches("/**/*.env", fs, stays_inside=False)
    assert found == f"{'/d' * 1500}/.env"


def test_a_search_of_everything_is_refused(fs: Filesystem, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(path_patterns, "MAX_LOOKED_AT", 5)
    with pytest.raises(ConfigError, match="leads through more than 5 files"):
        matches(f"{WORK}/**/.env", fs, stays_inside=False)


def test_grants_and_denials_of_a_run_follow_from_patterns(fs: Filesystem, run: Resolve) -> None:
    paths = Paths(allow=("a", "nothing*"), read=("*.py",), deny=("**/.env",))
    resolved = run(Profile(filesystem=paths), fs=fs)
    granted = {grant.path for grant in resolved.capabilities.grants if grant.is_users}
    assert granted == {f"{WORK}/a", f"{WORK}/main.py"}
    assert resolved.skipped == ("nothing* (nothing matches)",)
    assert (
        "filesystem.deny '**/.env' covers what is there now, and not what comes later." in resolved.warnings
    )
    masked = {mask.path for mask in resolved.capabilities.masking.masks}
    assert masked == {f"{WORK}/a/.env", f"{WORK}/a/b/.env"}
