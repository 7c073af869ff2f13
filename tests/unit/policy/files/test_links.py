"""Which links are followed to what a run is granted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from nono.errors import NonoError
from nono.policy.files.links import links_on_the_way
from nono.policy.path_expansion import Filesystem
from nono.policy.resolve import Resolved
from nono.policy.schema.profile import Filesystem as Files
from nono.policy.schema.profile import Groups, Profile

Resolve = Callable[..., Resolved]
MakeFilesystem = Callable[..., Filesystem]

HOME = "/home/ada"
WORK = f"{HOME}/work"
DISK = "/data/disk"
WRITES_CACHES = Groups(include=("user_caches_linux",))


def profile(**fields: Any) -> Profile:
    return Profile(filesystem=Files(**fields))


def granted(resolved: Resolved) -> set[str]:
    return {grant.path for grant in resolved.capabilities.grants}


@pytest.mark.parametrize(
    ("link", "entry"),
    [
        pytest.param(f"{HOME}/.cache", "~/.cache/pip", id="caches on another disk"),
        pytest.param(f"{HOME}/.config/tool", "~/.config/tool", id="dotfiles kept elsewhere"),
        pytest.param("/var/run", "/var/run/tool", id="/var/run"),
        pytest.param(f"{HOME}/elsewhere", "~/elsewhere", id="a link in the home"),
        pytest.param("/srv/link", "/srv/link", id="a link of the system"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("groups", [Groups(), WRITES_CACHES], ids=["nothing else", "caches granted"])
def test_a_link_where_no_run_writes_is_followed(
    run: Resolve, make_fs: MakeFilesystem, link: str, entry: str, groups: Groups
) -> None:
    spelled = entry.replace("~", HOME)
    leads_to = f"{DISK}{spelled[len(link) :]}"
    fs = make_fs((leads_to,), links={link: DISK})
    asked = Profile(groups=groups, filesystem=Files(allow=(entry,)))
    resolved = run(asked, fs=fs, allow=(".",))
    assert leads_to in granted(resolved)
    assert resolved.insisted == ()


def test_a_home_behind_a_link_is_followed(run: Resolve, make_fs: MakeFilesystem) -> None:
    fs = make_fs((f"{DISK}/ada/work", f"{DISK}/ada/x"), links={"/home": DISK})
    resolved = run(profile(allow=("~/x", "$WORKDIR")), fs=fs)
    assert {f"{DISK}/ada/x", f"{DISK}/ada/work"} <= granted(resolved)
    assert resolved.insisted == ()


def test_temporary_files_behind_a_link_of_the_system_are_granted(
    run: Resolve, make_fs: MakeFilesystem
) -> None:
    resolved = run(fs=make_fs(("/private/tmp",), links={"/tmp": "/private/tmp"}))
    assert "/private/tmp" in granted(resolved)
    assert resolved.insisted == ()


@pytest.mark.parametrize(
    ("links", "entry"),
    [
        pytest.param({"/tmp/x": DISK}, "/tmp/x", id="in /tmp"),
        pytest.param({f"{HOME}/.cache/x": DISK}, "~/.cache/x", id="where a group writes that is left out"),
        pytest.param({f"{HOME}/a": "/tmp/b", "/tmp/b": DISK}, "~/a", id="on the way of another link"),
        pytest.param({f"{WORK}/x": DISK}, f"{WORK}/x", id="in the granted directory"),
        pytest.param({f"{WORK}/x": DISK}, "~/work/main/../x", id="behind dots"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("field", ["allow", "read", "write", "unix_socket_dir", "unix_socket_subtree_bind"])
def test_a_link_that_a_command_could_lay_is_not_followed(
    run: Resolve, make_fs: MakeFilesystem, links: dict[str, str], entry: str, field: str
) -> None:
    fs = make_fs((DISK, f"{HOME}/.cache", f"{WORK}/main"), links=links)
    resolved = run(profile(**{field: (entry,)}), fs=fs, allow=(".",))
    assert DISK not in granted(resolved) | {grant.path for grant in resolved.capabilities.sockets}
    (said,) = resolved.insisted
    assert f"'{[*links][-1]}' is a link that leads to '{DISK}', and a command could have made it" in said
    assert said.endswith(f" {DISK}")
    with pytest.raises(NonoError, match="is a link that leads to"):
        run(fs=fs, allow=(".", entry))


@pytest.mark.parametrize("entry", ["$WORKDIR/x", "x", "./x", "x/deep", "$WORKDIR/main/../x"])
def test_an_entry_that_begins_in_the_working_directory_does_not_leave_it(
    run: Resolve, make_fs: MakeFilesystem, entry: str
) -> None:
    fs = make_fs((f"{DISK}/deep", f"{WORK}/main"), links={f"{WORK}/x": DISK})
    resolved = run(profile(allow=(entry,)), fs=fs)
    assert not any(path.startswith(DISK) for path in granted(resolved))
    assert f"and it leaves {WORK}. If it is yours: --allow {DISK}" in resolved.insisted[0]


def test_an_entry_by_another_name_is_the_persons(run: Resolve, make_fs: MakeFilesystem) -> None:
    fs = make_fs((DISK,), links={f"{WORK}/x": DISK})
    assert DISK in granted(run(profile(allow=("~/work/x",)), fs=fs))


def test_a_link_that_stays_in_the_working_directory_is_followed(
    run: Resolve, make_fs: MakeFilesystem
) -> None:
    fs = make_fs((f"{WORK}/real",), links={f"{WORK}/x": f"{WORK}/real"})
    resolved = run(profile(allow=("x",)), fs=fs)
    assert f"{WORK}/real" in granted(resolved)
    assert resolved.insisted == ()


def test_a_link_to_what_is_granted_anyway_is_not_mentioned(run: Resolve, make_fs: MakeFilesystem) -> None:
    fs = make_fs((f"{WORK}/real",), links={f"{WORK}/x": f"{WORK}/real", f"{WORK}/y": "/usr/lib"})
    resolved = run(profile(allow=("$WORKDIR", "x"), read=("y",)), fs=fs)
    assert resolved.insisted == ()
    assert run(profile(allow=("$WORKDIR",), write=("y",)), fs=fs).insisted != ()


def test_where_the_person_stands_is_theirs(run: Resolve, make_fs: MakeFilesystem) -> None:
    fs = make_fs((WORK, f"{WORK}/x"), links={"/tmp/here": WORK})
    resolved = run(profile(allow=("x",)), environ={"PWD": "/tmp/here"}, fs=fs, allow=(".",))
    assert {WORK, f"{WORK}/x"} <= granted(resolved)
    assert resolved.insisted == ()


def test_a_working_directory_by_flag_is_not_behind_such_a_link(run: Resolve, make_fs: MakeFilesystem) -> None:
    fs = make_fs((DISK,), links={"/tmp/here": DISK, f"{HOME}/here": DISK})
    with pytest.raises(NonoError, match="'/tmp/here' is a link"):
        run(fs=fs, workdir="/tmp/here", allow_cwd=True)
    assert DISK in granted(run(fs=fs, workdir=f"{HOME}/here", allow_cwd=True))


def test_a_command_that_could_lay_a_link_at_another_mount_is_found(
    run: Resolve, make_fs: MakeFilesystem
) -> None:
    mounts = f"20 1 8:1 / / rw - ext4 a rw\n21 20 8:1 {WORK} /mnt/work rw - ext4 a rw\n"
    fs = make_fs((DISK,), links={"/mnt/work/x": DISK}, mountinfo=mounts)
    resolved = run(profile(allow=("/mnt/work/x",)), fs=fs, allow=(".",))
    assert DISK not in granted(resolved)


def test_a_link_at_another_mount_of_what_some_run_may_write_is_found(
    run: Resolve, make_fs: MakeFilesystem
) -> None:
    mounts = "20 1 8:1 / / rw - ext4 a rw\n21 20 8:1 /caches /mnt/caches rw - ext4 a rw\n"
    links = {f"{HOME}/.cache": "/caches", "/mnt/caches/x": DISK}
    fs = make_fs((DISK, "/caches"), links=links, mountinfo=mounts)
    resolved = run(profile(allow=("/mnt/caches/x",)), fs=fs, allow=(".",))
    assert DISK not in granted(resolved)


def test_links_are_found_one_by_one(make_fs: MakeFilesystem) -> None:
    links = {"/a/one": "/b", "/b/two": "/c/three", "/c/three": "/d"}
    fs = make_fs(("/d/e",), links=links)
    assert [*links_on_the_way("/a/one/../b/./two//e", fs)] == [*links]
    assert [*links_on_the_way("/d/e", fs)] == []


def test_a_circle_of_links_ends(make_fs: MakeFilesystem) -> None:
    fs = make_fs(links={"/a": "/b", "/b": "/a"})
    assert {*links_on_the_way("/a/x", fs)} == {"/a", "/b"}


DOTFILES, LETTERS = f"{HOME}/dotfiles", f"{HOME}/letters"
BEHIND = {f"{HOME}/.conf": f"{DOTFILES}/conf"}  # the person's link, into what another run may be granted


@pytest.mark.parametrize(
    ("links", "entry"),
    [
        pytest.param({f"{DOTFILES}/conf": LETTERS}, "~/.conf", id="in its place"),
        pytest.param({f"{DOTFILES}/conf/x": LETTERS}, "~/.conf/x", id="below it"),
        pytest.param({f"{DOTFILES}/conf": f"{DOTFILES}/b", f"{DOTFILES}/b": LETTERS}, "~/.conf", id="by two"),
    ],
)
@pytest.mark.parametrize("field", ["allow", "read", "unix_socket_dir"])
def test_a_link_that_another_run_could_lay_behind_the_persons_is_not_followed(
    run: Resolve, make_fs: MakeFilesystem, links: dict[str, str], entry: str, field: str
) -> None:
    fs = make_fs((LETTERS, f"{DOTFILES}/.git"), links={**BEHIND, **links})
    resolved = run(profile(**{field: (entry,)}), fs=fs, allow=(".",))
    assert LETTERS not in granted(resolved) | {grant.path for grant in resolved.capabilities.sockets}
    (said,) = resolved.insisted
    assert f"is a link that leads to '{LETTERS}', and a command could have made it in another run" in said
    assert said.endswith(f" {LETTERS}")


@pytest.mark.parametrize("name", [".gitconfig", "package.json"])
def test_what_a_group_grants_is_held_to_the_same(run: Resolve, make_fs: MakeFilesystem, name: str) -> None:
    links = {f"{HOME}/{name}": f"{DOTFILES}/{name}"}
    there = make_fs(texts={f"{DOTFILES}/{name}": ""}, links=links)
    assert f"{DOTFILES}/{name}" in granted(run(fs=there))
    turned = make_fs((LETTERS,), links={**links, f"{DOTFILES}/{name}": LETTERS})
    assert LETTERS not in granted(run(fs=turned))


@pytest.mark.parametrize(
    ("directories", "links"),
    [
        pytest.param((f"{DOTFILES}/.git",), {f"{DOTFILES}/conf": f"{DOTFILES}/deep/conf"}, id="its tree"),
        pytest.param((), {f"{DOTFILES}/conf": f"{DOTFILES}/conf-2"}, id="its directory"),
        pytest.param((), {f"{DOTFILES}/conf": "/nix/store/conf"}, id="what nobody writes"),
        pytest.param((), {f"{HOME}/.conf": "/etc/alternatives/conf", "/etc/alternatives/conf": DISK},
                     id="a link of the system"),
        pytest.param((), {f"{HOME}/.conf": "/mnt/conf", "/mnt/conf": DISK}, id="a link of somebody else"),
    ],
)  # fmt: skip
def test_such_a_link_leads_to_what_is_around_it(
    run: Resolve, make_fs: MakeFilesystem, directories: tuple[str, ...], links: dict[str, str]
) -> None:
    target = [*links.values()][-1]
    fs = make_fs((target, *directories), links={**BEHIND, **links}, foreign=("/mnt/conf",))
    resolved = run(profile(allow=("~/.conf",)), fs=fs)
    assert target in granted(resolved)
    assert resolved.insisted == ()


def test_an_entry_of_a_group_and_a_profile_is_told_once(run: Resolve, make_fs: MakeFilesystem) -> None:
    entry, leads_to = f"{HOME}/.cargo/config.toml", f"{LETTERS}/config.toml"
    fs = make_fs(
        texts={leads_to: "[net]\n"},
        links={f"{HOME}/.cargo": f"{DOTFILES}/cargo", f"{DOTFILES}/cargo": LETTERS},
    )
    resolved = run(profile(read_file=(entry,)), fs=fs)
    assert len([each for each in resolved.insisted if each.startswith(f"'{entry}' is not granted")]) == 1
    assert leads_to not in granted(resolved)


def test_a_path_typed_now_leads_where_it_leads(run: Resolve, make_fs: MakeFilesystem) -> None:
    fs = make_fs((LETTERS,), links={**BEHIND, f"{DOTFILES}/conf": LETTERS})
    assert LETTERS in granted(run(fs=fs, read=("~/.conf",)))


def test_behind_a_home_that_is_a_link_the_persons_own_is_followed(
    run: Resolve, make_fs: MakeFilesystem
) -> None:
    fs = make_fs((f"{DISK}/ada/work", "/data/x"), links={"/home": DISK, f"{DISK}/ada/.conf": "/data/x"})
    assert "/data/x" in granted(run(profile(allow=("~/.conf",)), fs=fs))


STATE_LINKS = {**BEHIND, f"{DOTFILES}/conf": f"{DISK}/conf"}


@pytest.mark.parametrize(
    "flags",
    [
        pytest.param({}, id="nothing else granted"),
        pytest.param({"read": (f"{DISK}/conf",)}, id="read only"),
        pytest.param({"allow": (f"{DISK}/conf/inner",)}, id="a part of it"),
    ],
)
def test_a_state_directory_behind_such_a_link_is_refused_with_the_option_that_helps(
    run: Resolve, make_fs: MakeFilesystem, flags: dict[str, tuple[str, ...]]
) -> None:
    fs = make_fs((f"{DISK}/conf/inner",), links=STATE_LINKS)
    with pytest.raises(NonoError, match="Refusing the state directory") as raised:
        run(profile(state_dir=("~/.conf",)), fs=fs, **flags)
    assert raised.value.hint == f"name what it leads to: --allow {DISK}/conf"


def test_what_a_group_grants_makes_it_nobodys(run: Resolve, make_fs: MakeFilesystem) -> None:
    cache = f"{HOME}/.cache/tool"
    fs = make_fs((cache, WORK), links={**BEHIND, f"{DOTFILES}/conf": cache})
    assert f"{HOME}/.cache" in granted(run(Profile(groups=WRITES_CACHES), fs=fs))
    with pytest.raises(NonoError, match="Refusing the state directory"):
        run(Profile(groups=WRITES_CACHES, filesystem=Files(state_dir=("~/.conf",))), fs=fs)


@pytest.mark.parametrize("place", [f"{DISK}/conf", DISK])
def test_that_option_makes_it_the_persons(run: Resolve, make_fs: MakeFilesystem, place: str) -> None:
    fs = make_fs((f"{DISK}/conf",), links=STATE_LINKS)
    resolved = run(profile(state_dir=("~/.conf",)), fs=fs, allow=(place,))
    assert place in granted(resolved)
    in_profile = run(profile(state_dir=("~/.conf",), allow=(place,)), fs=fs)
    assert place in granted(in_profile)


IN_STATE = f"{HOME}/.conf"


@pytest.mark.parametrize(
    ("name", "leads_to", "option"),
    [
        ("settings", f"{DOTFILES}/settings", f"--allow-file {DOTFILES}/settings"),
        ("skills", f"{DOTFILES}/tools", f"--allow {DOTFILES}/tools"),
        ("skills/one", f"{DOTFILES}/tools", f"--allow {DOTFILES}/tools"),
        ("latest", f"{IN_STATE}/debug", None),
        ("read", "/usr/share/doc", None),
        ("gone", f"{DOTFILES}/nothing", None),
        ("key", f"{HOME}/.ssh/id", None),
        ("logs/one", f"{DOTFILES}/tools", None),
    ],
)
def test_links_in_a_state_directory_are_told_with_the_option_that_grants_them(
    run: Resolve, make_fs: MakeFilesystem, name: str, leads_to: str, option: str | None
) -> None:
    fs = make_fs(
        (f"{IN_STATE}/debug", f"{IN_STATE}/skills" if "/" in name else WORK, f"{IN_STATE}/logs",
         f"{DOTFILES}/tools", "/usr/share/doc"),
        files=(f"{DOTFILES}/settings", f"{HOME}/.ssh/id"),
        links={f"{IN_STATE}/{name}": leads_to},
    )  # fmt: skip
    asked = profile(state_dir=("~/.conf",), deny=("~/.ssh",))
    told = [text for text in run(asked, fs=fs).warnings if "lead to what is not granted" in text]
    assert [text.partition(" If they are yours: ")[2] for text in told] == ([option] if option else [])
    if option:
        flag, path = option.split()
        flags = {flag.removeprefix("--").replace("-", "_"): (path,)}
        assert not any("lead to" in text for text in run(asked, fs=fs, **flags).warnings)


@pytest.mark.parametrize("leads_to", ["/", "/home", HOME, f"{HOME}/.config"])
def test_no_option_is_named_for_a_link_that_leads_to_all_of_a_persons_files(
    run: Resolve, make_fs: MakeFilesystem, leads_to: str
) -> None:
    """A command could have laid it, in its own directory or among dotfiles."""
    inside = make_fs((IN_STATE, f"{HOME}/.config", WORK), links={f"{IN_STATE}/skills": leads_to})
    told = run(profile(state_dir=("~/.conf",)), fs=inside).warnings
    assert [text for text in told if f"skills leads to {leads_to}" in text]
    assert not any("If they are yours" in text for text in told)
    behind = make_fs((f"{HOME}/.config", WORK), links={**BEHIND, f"{DOTFILES}/conf": leads_to})
    with pytest.raises(NonoError, match="Refusing the state directory") as raised:
        run(profile(state_dir=("~/.conf",)), fs=behind)
    assert raised.value.hint == "look at that link: what it leads to is too much for one run"
    resolved = run(profile(read=("~/.conf",)), fs=behind)
    assert "a command could have made it in another run" in resolved.insisted[0]
    assert "If it is yours" not in resolved.insisted[0]


def test_a_home_behind_a_link_is_all_of_a_persons_files_too(run: Resolve, make_fs: MakeFilesystem) -> None:
    real = f"{DISK}/ada"
    fs = make_fs((f"{real}/.conf", f"{real}/work"), links={"/home": DISK, f"{real}/.conf/skills": real})
    told = run(profile(state_dir=("~/.conf",)), fs=fs).warnings
    assert [text for text in told if f"skills leads to {real}" in text]
    assert not any("If they are yours" in text for text in told)
