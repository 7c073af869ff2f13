"""Paths that were seen become grants: all of them, and never one that reaches what is sensitive."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nono.policy.builtin import shipped
from nono.policy.capability import Access, Denial, Grant
from nono.policy.effective_policy import effective_policy_of
from nono.policy.files.denials import DenyRules, group_denials
from nono.policy.learning.generalise import Additions, Bounds, generalise, includable, spelled
from nono.policy.learning.learned_profile import learned_document
from nono.policy.learning.observation import Need
from nono.policy.learning.scope import SYSTEM, home_roots, is_secret_name, too_wide, without_holes
from nono.policy.path_expansion import Filesystem, PathContext, is_within
from nono.policy.request import RunRequest
from nono.policy.resolve import resolve
from nono.policy.schema.profile import Filesystem as FilesystemSection
from nono.policy.schema.profile import Groups, Profile, Workdir
from unit.policy.conftest import HOME, MakeFilesystem, MemoryFilesystem

ENVIRON = {"HOME": HOME, "PATH": f"/usr/bin:{HOME}/node/bin"}
PLACES = PathContext(HOME, f"{HOME}/work", f"{HOME}/work", ENVIRON)
DOTFILES = (
    *(f"{HOME}/.tool/{name}" for name in ("a", "b", "c", "d/e", "d/f", "d/g/h")),
    *(f"{HOME}/.config/app/{name}" for name in ("one", "two", "three")),
    *(f"{HOME}/.config/gh/hosts.yml", f"{HOME}/.config/other.toml", f"{HOME}/.toolrc", f"{HOME}/.netrc"),
    *(f"{HOME}/.cache/x/{name}" for name in ("1", "2", "3")),
    *(f"{HOME}/.nvm/versions/{name}" for name in ("node", "npm", "lib/index.js")),
    *(f"{HOME}/.cargo/registry/{name}" for name in ("p", "q", "r")),
    f"{HOME}/.cargo/credentials.toml",
    f"{HOME}/node/lib/node.js",
    f"{HOME}/node/bin/node",
    f"{HOME}/letter",
    "/opt/app/bin/app",
    "/opt/app/lib/lib.so",
    "/opt/app/share/data",
    "/usr/include/stdio.h",
    "/etc/app/settings",
)


def denials(fs: Filesystem) -> tuple[Denial, ...]:
    return tuple(group_denials((group for group in shipped.groups().values() if group.applies), PLACES, fs))


def bounds_of(fs: Filesystem, *more: Grant) -> Bounds:
    rules = denials(fs)
    holes = [*(denial.path for denial in rules), f"{HOME}/.local/state/nono"]
    watched = without_holes([*home_roots(PLACES, fs), *SYSTEM], holes, too_wide(PLACES, fs), fs)
    return Bounds((*watched, *more), HOME, f"{HOME}/work", "/tmp", DenyRules(rules, ()))


def learned(fs: Filesystem, *needs: tuple[str, str], bounds: Bounds | None = None) -> Additions:
    """needs: a path (a directory ends in a slash) and an access."""
    seen = [Need(path.rstrip("/") or "/", Access(access), path.endswith("/")) for path, access in needs]
    bounds = bounds or bounds_of(fs)
    groups = includable(shipped.groups().values(), too_wide(PLACES, fs), bounds.deny_rules, PLACES, fs)
    return generalise(seen, bounds, groups, PLACES, fs)


@pytest.fixture
def home(make_fs: MakeFilesystem) -> Filesystem:
    return make_fs(directories=(f"{HOME}/.local/share/keyrings",), files=DOTFILES)


def test_one_file_is_granted_as_that_file(home: Filesystem) -> None:
    assert learned(home, (f"{HOME}/.toolrc", "read")) == Additions(read_file=("~/.toolrc",))


def test_many_files_of_a_directory_are_granted_as_the_directory(home: Filesystem) -> None:
    few = [(f"{HOME}/.tool/{name}", "read") for name in "ab"]
    assert learned(home, *few).read_file == ("~/.tool/a", "~/.tool/b")
    assert learned(home, *few, (f"{HOME}/.tool/c", "read")) == Additions(read=("~/.tool",))


def test_whatever_contains_the_home_is_too_wide(home: Filesystem) -> None:
    assert {PLACES.home, *map(str, Path(PLACES.home).parents)} <= too_wide(PLACES, home)


def test_a_directory_that_is_too_wide_is_never_granted(home: Filesystem) -> None:
    paths = [*DOTFILES[6:9], f"{HOME}/.config/other.toml", *DOTFILES[13:16]]
    found = learned(home, *[(path, "read") for path in paths])
    assert found.read == ("~/.cache/x", "~/.config/app")
    assert found.read_file == ("~/.config/other.toml",)
    listed = learned(home, (f"{HOME}/.config/", "read"), (f"{HOME}/", "read"), ("/", "read"))
    assert listed._replace(left_out=()) == Additions()
    assert {refused.what for refused in listed.left_out} == {f"{HOME}/.config", HOME, "/"}


def test_neither_reading_nor_writing_grants_the_other(home: Filesystem) -> None:
    writable = Grant(f"{HOME}/.tool", Access.READWRITE, True, "user", f"{HOME}/.tool")
    found = learned(
        home,
        *((f"{HOME}/.tool/{name}", "read") for name in "abc"),
        (f"{HOME}/.tool/d/", "write"),
        bounds=bounds_of(home, writable),
    )
    assert found == Additions(read=("~/.tool",), write=("~/.tool/d",))


def test_the_working_directory_is_granted_by_its_own_field(home: Filesystem) -> None:
    found = learned(home, (f"{HOME}/work/", "read"), (f"{HOME}/work/main.py", "write"))
    assert found == Additions(workdir=Access.READWRITE)


def test_a_runtime_is_granted_by_the_shipped_group(home: Filesystem) -> None:
    found = learned(home, (f"{HOME}/.nvm/versions/node", "read"), (f"{HOME}/.nvm/versions/npm", "read"))
    assert found == Additions(groups=("node_runtime",))


def test_a_group_with_something_sensitive_in_it_is_not_included(home: Filesystem) -> None:
    rules = bounds_of(home).deny_rules
    sound = shipped.groups()["java_runtime"]._replace(read=("~/.cargo/registry",))
    reaching = sound._replace(read=("~/.cargo",))  # with its credentials.toml
    wide = too_wide(PLACES, home)
    assert includable([sound, reaching], wide, rules, PLACES, home) == (sound,)


def test_reading_the_temporary_directory_is_the_shipped_group(home: Filesystem) -> None:
    assert learned(home, ("/tmp/", "read")).groups == ("linux_temp_read",)
    assert learned(home, ("/tmp/", "readwrite")).allow == ("$TMPDIR",)


@pytest.mark.parametrize(
    "name", ["line\nbreak", "$HOME", "star*", "q?", "escape\x1b[2J", "\udcff", "\u202eevil"]
)
def test_a_name_that_a_profile_cannot_spell_is_only_listed(make_fs: MakeFilesystem, name: str) -> None:
    path = f"{HOME}/.tool/{name}"
    fs = make_fs(files=(*DOTFILES, path))
    found = learned(fs, (path, "read"))
    assert found._replace(left_out=()) == Additions()
    assert [refused.what for refused in found.left_out] == [path]


def test_what_is_sensitive_is_only_listed(home: Filesystem) -> None:
    found = learned(home, (f"{HOME}/.netrc", "read"), (f"{HOME}/.toolrc", "read"))
    assert found._replace(left_out=()) == Additions(read_file=("~/.toolrc",))
    assert [(each.what, each.reason) for each in found.left_out] == [(f"{HOME}/.netrc", "sensitive")]


def test_what_has_been_replaced_by_a_link_meanwhile_is_not_granted(make_fs: MakeFilesystem) -> None:
    seen = f"{HOME}/.tool2/file"
    before = make_fs(files=(seen,))
    after = make_fs(links={seen: f"{HOME}/letter"}, files=(f"{HOME}/letter",))
    assert learned(before, (seen, "read")).read_file == ("~/.tool2/file",)
    assert learned(after, (seen, "read"), bounds=bounds_of(before)).read_file == ()


def test_a_path_of_many_names_is_not_granted(make_fs: MakeFilesystem) -> None:
    deep = f"{HOME}/.tool" + "/a" * 500
    fs = make_fs(files=(deep,))
    assert [refused.reason for refused in learned(fs, (deep, "read")).left_out] == ["it lies too deep"]


@pytest.mark.parametrize(
    "name",
    [
        ".credentials.json",
        "auth.json",
        "id_rsa",
        "server.key",
        "GitHub-Token",
        ".env",
        ".env.local",
        "oauth_creds.json",
    ],
)
def test_a_name_that_says_that_it_holds_a_key(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize(
    "name", ["config.json", "tokenizer.py", "settings", "index.js", "secrets.pyc", "envrc"]
)
def test_a_name_that_does_not(name: str) -> None:
    assert not is_secret_name(name)


def test_what_may_be_watched_reaches_nothing_sensitive(home: Filesystem) -> None:
    bounds = bounds_of(home)
    paths = [grant.path for grant in bounds.directories]
    assert f"{HOME}/.tool" in paths
    assert f"{HOME}/node" in paths  # by PATH
    for closed in (f"{HOME}/.ssh/id_rsa", f"{HOME}/.config/gh/hosts.yml", f"{HOME}/.netrc", f"{HOME}/letter"):
        assert not any(is_within(closed, path) for path in paths), closed


def resolved_grants(additions: Additions, fs: Filesystem) -> Any:
    """Return the rules of a run with a profile that says it."""
    document = learned_document(additions)
    profile = Profile(
        groups=Groups(include=tuple(document.get("groups", {}).get("include", ()))),
        workdir=Workdir(document.get("workdir", {}).get("access", "none")),
        filesystem=FilesystemSection(
            **{name: tuple(paths) for name, paths in document.get("filesystem", {}).items()}
        ),
    )
    request = RunRequest(allow_cwd=True)
    return effective_policy_of(resolve(request, profile, environ=ENVIRON, cwd=f"{HOME}/work", fs=fs), fs)


@settings(max_examples=150)
@given(data=st.data())
def test_what_was_seen_is_learned_without_anything_sensitive(data: st.DataObject) -> None:
    fs = MemoryFilesystem(*_disk())
    bounds = bounds_of(fs)
    files = [path for path in fs.files if any(is_within(path, grant.path) for grant in bounds.directories)]
    directories = [
        path for path in fs.directories if any(is_within(path, grant.path) for grant in bounds.directories)
    ]
    needs = [
        *data.draw(st.lists(st.sampled_from(sorted(files)), max_size=12)),
        *(f"{path}/" for path in data.draw(st.lists(st.sampled_from(sorted(directories)), max_size=4))),
    ]
    additions = learned(fs, *((path, "read") for path in needs))
    rules = resolved_grants(additions, fs)
    for path in needs:
        assert type(rules.files.judge((path.rstrip("/"),), Access.READ)).__name__ == "Granted", path
    given_to_user = [grant for grant in rules.capabilities.grants if grant.is_users]
    for grant in given_to_user:
        assert grant.access is Access.READ
        assert grant.path not in too_wide(PLACES, fs)
        for denial in bounds.deny_rules.denials:
            assert not is_within(denial.path, grant.path), (denial.path, grant.path)
        assert not is_within(f"{HOME}/.local/state/nono", grant.path)


def _disk() -> tuple[frozenset[str], frozenset[str]]:
    files = {*DOTFILES, f"{HOME}/.ssh/id_rsa", "/etc/hosts"}
    directories = {"/", "/tmp", f"{HOME}/work", f"{HOME}/.local/state/nono"}
    for path in (*files, *directories):
        while path != "/":
            path = path.rpartition("/")[0] or "/"
            directories.add(path)
    return frozenset(directories), frozenset(files)


@pytest.mark.parametrize(
    ("environ", "path", "written"),
    [
        ({}, f"{HOME}/.cache/x", "~/.cache/x"),
        ({"XDG_CACHE_HOME": "/srv/cache"}, "/srv/cache/x", "$XDG_CACHE_HOME/x"),
        ({"XDG_CACHE_HOME": "/srv/cache"}, "/srv/cache-of-another/x", "/srv/cache-of-another/x"),
        ({}, "/tmp", "$TMPDIR"),
        ({}, "/opt/app", "/opt/app"),
    ],
)
def test_a_learned_path_is_spelled_so_that_it_holds_elsewhere(
    environ: dict[str, str], path: str, written: str, make_fs: MakeFilesystem
) -> None:
    fs = make_fs(directories=("/srv/cache", "/srv/cache-of-another"))
    places = PathContext(HOME, f"{HOME}/work", f"{HOME}/work", {**ENVIRON, **environ})
    bounds = Bounds((), HOME, f"{HOME}/work", "/tmp", DenyRules())
    assert spelled(path, bounds, places, fs) == written
