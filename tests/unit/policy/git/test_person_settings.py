"""Which files are granted because the person's git settings name them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from nono.policy.capability import Access
from nono.policy.files.grants import accesses
from nono.policy.path_expansion import Filesystem
from nono.policy.resolve import Resolved
from nono.policy.schema.profile import Filesystem as Files
from nono.policy.schema.profile import Groups, Profile

MakeFilesystem = Callable[..., Filesystem]
Resolve = Callable[..., Resolved]

HOME = "/home/ada"
SETTINGS = f"{HOME}/.gitconfig"
WITH_GIT = Profile(groups=Groups(include=("git_config",)))
HOOKS = "[core]\n\thooksPath = ~/hooks\n"


def access(resolved: Resolved, path: str) -> Access | None:
    return accesses(resolved.capabilities.grants, path)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        pytest.param("[include]\n\tpath = ~/.gitconfig.local\n", f"{HOME}/.gitconfig.local", id="include"),
        pytest.param("[include] path = own/settings\n", f"{HOME}/own/settings", id="relative"),
        pytest.param('[includeIf "gitdir:~/w/"]\n\tpath = ~/of-work\n', f"{HOME}/of-work", id="includeIf"),
        pytest.param('[core]\n\texcludesFile = "~/.gitignore"\n', f"{HOME}/.gitignore", id="excludes"),
        pytest.param("[core]\n\tattributesfile = ~/.attributes\n", f"{HOME}/.attributes", id="attributes"),
        pytest.param("[commit]\n\ttemplate = /srv/message\n", "/srv/message", id="template"),
        pytest.param("[blame]\n\tignoreRevsFile = ~/revs\n", f"{HOME}/revs", id="revisions"),
    ],
)
def test_a_file_that_the_settings_name_can_be_read(
    run: Resolve, make_fs: MakeFilesystem, settings: str, named: str
) -> None:
    fs = make_fs(texts={SETTINGS: settings}, files=(named, f"{named}.other"))
    resolved = run(WITH_GIT, fs=fs)
    assert access(resolved, named) is Access.READ
    assert access(resolved, f"{named}.other") is None
    assert access(run(Profile(groups=Groups(exclude=("git_config",))), fs=fs), named) is None


def test_a_directory_of_hooks_that_the_settings_name_can_be_read(
    run: Resolve, make_fs: MakeFilesystem
) -> None:
    fs = make_fs(texts={SETTINGS: HOOKS}, files=(f"{HOME}/hooks/pre-commit",))
    assert access(run(WITH_GIT, fs=fs), f"{HOME}/hooks/pre-commit") is Access.READ


@pytest.mark.parametrize("text", ["~/", "/", "/home", "~/.local/state/nono", "~/.ssh", "hooks"])
def test_a_directory_of_hooks_grants_neither_the_home_nor_what_is_denied(
    run: Resolve, make_fs: MakeFilesystem, text: str
) -> None:
    fs = make_fs(texts={SETTINGS: f"[core]\n\thooksPath = {text}\n"}, files=(f"{HOME}/hooks/pre-commit",))
    resolved = run(WITH_GIT, fs=fs)
    for path in (f"{HOME}/x", f"{HOME}/.ssh/id_rsa", f"{HOME}/.local/state/nono", f"{HOME}/hooks"):
        assert access(resolved, path) is None


def test_an_included_file_leads_on_to_what_it_names(run: Resolve, make_fs: MakeFilesystem) -> None:
    texts = {
        SETTINGS: "[include]\n\tpath = dotfiles/git\n",
        f"{HOME}/dotfiles/git": "[include]\n\tpath = more\n",
        f"{HOME}/dotfiles/more": "[core]\n\texcludesFile = ~/.gitignore\n",
    }
    resolved = run(WITH_GIT, fs=make_fs(texts=texts, files=(f"{HOME}/.gitignore",)))
    assert access(resolved, f"{HOME}/dotfiles/more") is Access.READ
    assert access(resolved, f"{HOME}/.gitignore") is Access.READ


def test_an_include_without_end_comes_to_one(run: Resolve, make_fs: MakeFilesystem) -> None:
    fs = make_fs(texts={SETTINGS: "[include]\n\tpath = .gitconfig\n\tpath = .gitconfig\n"})
    assert access(run(WITH_GIT, fs=fs), SETTINGS) is Access.READ


def test_what_the_command_may_write_names_no_file(run: Resolve, make_fs: MakeFilesystem) -> None:
    """Otherwise one run could choose what the next one reads."""
    texts = {
        SETTINGS: "[include]\n\tpath = work/settings\n",
        f"{HOME}/work/settings": "[core]\n\texcludesFile = ~/.gitignore\n",
    }
    fs = make_fs(texts=texts, files=(f"{HOME}/.gitignore",))
    assert access(run(WITH_GIT, fs=fs), f"{HOME}/.gitignore") is Access.READ
    assert access(run(WITH_GIT, fs=fs, allow=(".",)), f"{HOME}/.gitignore") is None


def test_settings_behind_a_link_to_what_the_command_may_write_name_no_file(
    run: Resolve, make_fs: MakeFilesystem
) -> None:
    settings = f"{HOME}/work/gitconfig"
    texts = {settings: "[core]\n\texcludesFile = ~/.gitignore\n"}
    fs = make_fs(texts=texts, links={SETTINGS: settings}, files=(f"{HOME}/.gitignore",))
    assert access(run(WITH_GIT, fs=fs), f"{HOME}/.gitignore") is Access.READ
    assert access(run(WITH_GIT, fs=fs, allow=(".",)), f"{HOME}/.gitignore") is None


def test_a_link_that_the_command_may_turn_leads_to_nothing(run: Resolve, make_fs: MakeFilesystem) -> None:
    texts = {SETTINGS: "[core]\n\texcludesFile = ~/work/ignored\n"}
    fs = make_fs(
        texts=texts, links={f"{HOME}/work/ignored": f"{HOME}/.gitignore"}, files=(f"{HOME}/.gitignore",)
    )
    assert access(run(WITH_GIT, fs=fs), f"{HOME}/.gitignore") is Access.READ
    assert access(run(WITH_GIT, fs=fs, allow=(".",)), f"{HOME}/.gitignore") is None


def test_settings_that_such_a_link_leads_to_name_no_file(run: Resolve, make_fs: MakeFilesystem) -> None:
    texts = {
        SETTINGS: "[include]\n\tpath = work/settings\n",
        f"{HOME}/.gitconfig.local": "[core]\n\texcludesFile = ~/.gitignore\n",
    }
    links = {f"{HOME}/work/settings": f"{HOME}/.gitconfig.local"}
    fs = make_fs(texts=texts, links=links, files=(f"{HOME}/.gitignore",))
    assert access(run(WITH_GIT, fs=fs), f"{HOME}/.gitignore") is Access.READ
    assert access(run(WITH_GIT, fs=fs, allow=(".",)), f"{HOME}/.gitignore") is None


# ~/dotfiles is a repository, ~/loose a directory that is none. A run elsewhere may have been granted either.
ELSEWHERE = {"in a repository": f"{HOME}/dotfiles/git", "in no repository": f"{HOME}/loose"}


@pytest.mark.parametrize("place", ELSEWHERE.values(), ids=ELSEWHERE)
@pytest.mark.parametrize("is_link", [False, True], ids=["included", "linked"])
@pytest.mark.parametrize(
    ("line", "path"),
    [
        pytest.param("[core] excludesFile = ~/token", f"{HOME}/token", id="file"),
        pytest.param("[core] hooksPath = ~/letters", f"{HOME}/letters/one", id="directory"),
        pytest.param("[core] hooksPath = ~/.git", f"{HOME}/.git/one", id="repository of the home"),
        pytest.param("[include] path = ~/.token", f"{HOME}/.token", id="include"),
        pytest.param("[core] excludesFile = leading", f"{HOME}/token", id="link"),
    ],
)
def test_settings_that_another_run_may_have_written_name_only_what_is_gits(
    run: Resolve, make_fs: MakeFilesystem, place: str, line: str, path: str, *, is_link: bool
) -> None:
    settings = f"{place}/settings"
    line = line.replace("leading", f"{place}/leading")
    own = {SETTINGS: f"[include]\n\tpath = {settings}\n"}
    texts = {
        settings: f"{line}\n[commit] template = {place}/message\n[core] attributesFile = ~/.gitattributes\n"
    }
    beside = (f"{place}/message", f"{HOME}/.gitattributes")
    links = {f"{place}/leading": f"{HOME}/token", **({SETTINGS: settings} if is_link else {})}
    files = (f"{HOME}/token", path, *beside, f"{HOME}/dotfiles/.git/HEAD")
    fs = make_fs(texts={**texts, **({} if is_link else own)}, links=links, files=files)
    resolved = run(WITH_GIT, fs=fs)
    assert access(resolved, path) is None
    assert [access(resolved, each) for each in beside] == [Access.READ, Access.READ]
    assert any(f"'{settings}' leads to it" in warning for warning in resolved.warnings)
    if "leading" not in line:
        at_home = make_fs(texts={SETTINGS: line}, files=files)
        assert access(run(WITH_GIT, fs=at_home), path) is Access.READ


def test_a_link_that_another_run_may_have_laid_leads_to_nothing(
    run: Resolve, make_fs: MakeFilesystem
) -> None:
    texts = {SETTINGS: "[core]\n\texcludesFile = ~/dotfiles/ignored\n"}
    files = (f"{HOME}/token", f"{HOME}/dotfiles/.git/HEAD", f"{HOME}/dotfiles/git/ignored")

    def granted(leads_to: str) -> Access | None:
        links = {f"{HOME}/dotfiles/ignored": leads_to}
        return access(run(WITH_GIT, fs=make_fs(texts=texts, links=links, files=files)), leads_to)

    assert granted(f"{HOME}/token") is None
    assert granted(f"{HOME}/dotfiles/git/ignored") is Access.READ


def test_settings_behind_a_link_that_another_run_may_have_laid_are_not_the_persons_own(
    run: Resolve, make_fs: MakeFilesystem
) -> None:
    texts = {
        SETTINGS: "[include]\n\tpath = dotfiles/settings\n",
        f"{HOME}/notes": "[core]\n\texcludesFile = ~/token\n",
    }
    links = {f"{HOME}/dotfiles/settings": f"{HOME}/notes"}
    resolved = run(WITH_GIT, fs=make_fs(texts=texts, links=links, files=(f"{HOME}/token",)))
    assert access(resolved, f"{HOME}/token") is None
    assert access(resolved, f"{HOME}/notes") is None


def test_settings_of_the_system_name_what_they_want(run: Resolve, make_fs: MakeFilesystem) -> None:
    store = "/nix/store/x-home/gitconfig"
    texts = {store: "[core]\n\texcludesFile = ~/ignored\n"}
    fs = make_fs(texts=texts, links={SETTINGS: store}, files=(f"{HOME}/ignored",))
    assert access(run(WITH_GIT, fs=fs), f"{HOME}/ignored") is Access.READ


def test_a_denied_file_stays_denied_without_a_word(run: Resolve, make_fs: MakeFilesystem) -> None:
    settings = "[core]\n\texcludesFile = ~/.ssh/known_hosts\n\tattributesFile = ~/own\n"
    fs = make_fs(texts={SETTINGS: settings}, files=(f"{HOME}/own",))
    denying = WITH_GIT._replace(filesystem=Files(deny=("~/own",)))
    resolved = run(denying, fs=fs)
    assert access(resolved, f"{HOME}/.ssh/known_hosts") is None
    assert access(resolved, f"{HOME}/own") is None
    assert resolved.warnings == run(WITH_GIT, fs=make_fs(texts={SETTINGS: ""})).warnings
