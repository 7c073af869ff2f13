"""Which repository a working directory is part of, and which it only claims to be part of."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from nono.policy.capability import Access
from nono.policy.files.grants import accesses
from nono.policy.git.repository import repository_of
from nono.policy.path_expansion import Filesystem
from nono.policy.resolve import Resolved

HOME = "/home/ada"
WORK = f"{HOME}/work"
REPOSITORY = f"{HOME}/repo/.git"
ADMIN = f"{REPOSITORY}/worktrees/work"
MakeFilesystem = Callable[..., Filesystem]
Resolve = Callable[..., Resolved]


def parts(path: str) -> tuple[str, ...]:
    return tuple(f"{path}/{name}" for name in ("objects", "refs", "hooks"))


def found(fs: Filesystem, workdir: str = WORK) -> str | None:
    repository = repository_of(workdir, HOME, fs)
    return repository and repository.directory


def worktree(make_fs: MakeFilesystem, *, back: str = f"{WORK}/.git", gitfile: str = ADMIN) -> Filesystem:
    texts = {
        f"{WORK}/.git": f"gitdir: {gitfile}\n",
        f"{ADMIN}/gitdir": f"{back}\n",
        f"{REPOSITORY}/HEAD": "r",
    }
    return make_fs(directories=parts(REPOSITORY), texts=texts)


def test_a_repository_of_the_directory_itself_is_found(make_fs: MakeFilesystem) -> None:
    fs = make_fs(directories=parts(f"{WORK}/.git"), files=(f"{WORK}/.git/HEAD",))
    assert found(fs) == f"{WORK}/.git"


def test_a_repository_above_is_found(make_fs: MakeFilesystem) -> None:
    fs = make_fs(directories=(*parts(f"{WORK}/.git"), f"{WORK}/a/b"), files=(f"{WORK}/.git/HEAD",))
    assert found(fs, f"{WORK}/a/b") == f"{WORK}/.git"


def test_that_of_a_whole_home_directory_is_not_granted_with_a_project(make_fs: MakeFilesystem) -> None:
    assert found(make_fs(directories=parts(f"{HOME}/.git"), files=(f"{HOME}/.git/HEAD",))) is None


def test_that_of_somebody_else_above_is_left_alone(make_fs: MakeFilesystem) -> None:
    repository = f"{HOME}/shared/.git"
    stage = {"directories": (*parts(repository), f"{HOME}/shared/a"), "files": (f"{repository}/HEAD",)}
    assert found(make_fs(**stage), f"{HOME}/shared/a") == repository
    assert found(make_fs(**stage, foreign=(repository,)), f"{HOME}/shared/a") is None


def test_what_only_looks_like_a_repository_is_none(make_fs: MakeFilesystem) -> None:
    assert found(make_fs(directories=(f"{WORK}/.git",))) is None


def test_a_worktree_leads_to_its_repository(make_fs: MakeFilesystem) -> None:
    assert found(worktree(make_fs)) == REPOSITORY


@pytest.mark.parametrize(
    "changed", [{"back": f"{HOME}/else/.git"}, {"gitfile": REPOSITORY}, {"gitfile": f"{HOME}/.ssh"}]
)
def test_a_repository_that_does_not_point_back_is_not_believed(
    make_fs: MakeFilesystem, changed: dict[str, str]
) -> None:
    assert found(worktree(make_fs, **changed)) is None


def test_a_directory_that_calls_itself_a_worktree_does_not_open_its_home(make_fs: MakeFilesystem) -> None:
    """All that the command wrote lies in its own working directory, ~/worktrees/x."""
    workdir = f"{HOME}/worktrees/x"
    texts = {f"{workdir}/.git": f"gitdir: {workdir}", f"{workdir}/gitdir": f"{workdir}/.git"}
    assert found(make_fs(directories=(workdir,), texts=texts), workdir) is None


def test_a_submodule_leads_to_its_own_part(make_fs: MakeFilesystem) -> None:
    module = f"{HOME}/repo/.git/modules/work"

    def staged(back: str) -> Filesystem:
        texts = {
            f"{WORK}/.git": f"gitdir: {module}\n",
            f"{module}/config": f"[core]\n\tworktree = {back}\n",
            f"{module}/HEAD": "r",
        }
        return make_fs(directories=parts(module), texts=texts)

    assert found(staged("../../../../work")) == module
    assert found(staged("../../../../else")) is None


def test_a_repository_inside_the_directory_needs_not_point_back(make_fs: MakeFilesystem) -> None:
    own = f"{WORK}/.bare"
    texts = {
        f"{WORK}/.git": "gitdir: ./.bare\n",
        f"{own}/config": "[core]\n\tbare = true\n",
        f"{own}/HEAD": "r",
    }
    fs = make_fs(directories=(*parts(own), f"{WORK}/a"), texts=texts)
    assert found(fs) == own
    assert found(fs, f"{WORK}/a") is None  # it would be granted with a directory beside it


def test_a_directory_that_is_a_bare_repository_is_found(make_fs: MakeFilesystem) -> None:
    fs = make_fs(directories=(*parts(WORK), f"{WORK}/a"), files=(f"{WORK}/HEAD",))
    assert found(fs) == WORK
    assert found(fs, f"{WORK}/a") is None


def test_the_hooks_of_a_bare_repository_are_kept(run: Resolve, make_fs: MakeFilesystem) -> None:
    resolved = run(fs=make_fs(directories=parts(WORK), files=(f"{WORK}/HEAD",)), allow=(WORK,))
    assert resolved.capabilities.hooks == f"{WORK}/hooks"
    assert resolved.repository is not None


def test_the_repository_is_granted_as_the_directory_is(run: Resolve, make_fs: MakeFilesystem) -> None:
    fs = worktree(make_fs)

    def held(**flags: object) -> Access | None:
        return accesses(run(fs=fs, **flags).capabilities.grants, REPOSITORY)

    assert held(allow=(WORK,)) is Access.READWRITE
    assert held(read=(WORK,)) is Access.READ
    assert held() is None


def test_hooks_are_kept_unless_they_are_named(run: Resolve, make_fs: MakeFilesystem) -> None:
    fs = worktree(make_fs)
    hooks = f"{REPOSITORY}/hooks"
    assert run(fs=fs, allow=(WORK,)).capabilities.hooks == hooks
    assert run(fs=fs, allow=(WORK, hooks)).capabilities.hooks is None
    assert run(fs=fs, read=(WORK,)).capabilities.hooks is None
