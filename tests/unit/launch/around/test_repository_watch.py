"""What a run changed in a git repository, told by what git runs outside afterwards."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from nono.audit.event import RepositoryChange
from nono.launch.around import repository_files, repository_state
from nono.launch.around.repository_state import look
from nono.launch.around.repository_watch import Change, changes
from nono.policy.git.repository import Repository

SETTINGS = "[core]\n\thooksPath = .githooks\n\tfsmonitor = ./watch\n[include]\n\tpath = ../shared\n"
FILES = {
    ".git/hooks/pre-commit": "#!/bin/sh\nscan-for-secrets\n",
    ".git/hooks/pre-commit.sample": "#!/bin/sh\n",
    ".git/hooks/pre-push": "#!/bin/sh\n",
    ".githooks/commit-msg": "#!/bin/sh\n",
    ".githooks/README": "not a hook",
    "scripts/check": "#!/bin/sh\nscan-for-secrets\n",
    "shared": "[alias]\n\tst = !./run\n",
    ".git/modules/a/b/HEAD": "",
    ".git/modules/a/b/config": "[core]\n\tfsmonitor = ./watch\n\tworktree = ../../../../sub\n",
    "sub/.git": "gitdir: ../.git/modules/a/b\n",
    ".git/modules/a/b/hooks/pre-push": "#!/bin/sh\n",
    ".git/modules/a/b/modules/c/HEAD": "",
    ".git/worktrees/w/config.worktree": "[core]\n\teditor = vim\n",
    ".git/worktrees/w/commondir": "../..\n",
}

Said = list[tuple[str, RepositoryChange, tuple[str, ...]]]


@pytest.fixture
def top(tmp_path: Path) -> Path:
    tmp_path = tmp_path / "top"
    subprocess.run(["git", "init", "-q", "--template=", str(tmp_path)], check=True)
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755 if text.startswith("#!") else 0o644)
    (tmp_path / ".git/hooks/post-commit").symlink_to("../../scripts/check")
    (tmp_path / ".git/config").write_text(SETTINGS)
    return tmp_path


def told(top: Path, act: Callable[[], object]) -> Said:
    """Return what is told of `act`: path below `top`, kind of the change, names."""
    repository = Repository(str(top / ".git"), str(top))
    before = look(repository)
    act()
    found = changes(repository, before, look(repository, before))
    return [
        (
            os.path.relpath(change.path, top),
            change.what,
            tuple(os.path.relpath(name, top) if change.what == "worktree" else name for name in change.names),
        )
        for change in found
    ]


def script(text: str) -> Callable[[Path], object]:
    return lambda top: subprocess.run(["sh", "-euc", text], cwd=top, check=True)


HOOKS = ".git/hooks"
TODO = ".git/rebase-merge/git-rebase-todo"
GONE: RepositoryChange = "removed_hooks"
EMBEDDED = (
    "git init -q --template= new; git -C new config core.fsmonitor ./x; mkdir new/.git/hooks;"
    "touch new/.git/hooks/x"
)
LINKED = f"git update-index --add --cacheinfo 160000 {'1' * 40}"
CHANGES: dict[str, tuple[str, Said]] = {
    "removed": ("rm .git/hooks/pre-commit", [(HOOKS, GONE, ("pre-commit",))]),
    "emptied": (": > .git/hooks/pre-commit", [(HOOKS, GONE, ("pre-commit",))]),
    "not executable": ("chmod -x .git/hooks/pre-commit", [(HOOKS, GONE, ("pre-commit",))]),
    "renamed": (
        "mv .git/hooks/pre-push .git/hooks/update",
        [(HOOKS, "hooks", ("update",)), (HOOKS, GONE, ("pre-push",))],
    ),
    "a directory": (
        "rm .git/hooks/pre-push; mkdir .git/hooks/pre-push",
        [(HOOKS, GONE, ("pre-push",))],
    ),
    "all of them": (
        "mv .git/hooks .git/old",
        [(HOOKS, GONE, ("post-commit", "pre-commit", "pre-push"))],
    ),
    "replaced": (
        "printf '#!/bin/sh\\n' > .git/x; chmod +x .git/x; mv .git/x .git/hooks/pre-commit",
        [(HOOKS, "hooks", ("pre-commit",))],
    ),
    "overwritten in its own size": (
        "tr s x < .git/hooks/pre-commit > x; cat x > .git/hooks/pre-commit; touch -r x .git/hooks/pre-commit",
        [(HOOKS, "hooks", ("pre-commit",))],
    ),
    "where its link leads": ("echo true > scripts/check", [(HOOKS, "hooks", ("post-commit",))]),
    "where its link leads, removed": ("rm scripts/check", [(HOOKS, GONE, ("post-commit",))]),
    "in a directory that core.hooksPath names": (
        "rm .githooks/commit-msg",
        [(".githooks", GONE, ("commit-msg",))],
    ),
    "laid there": (
        "touch .githooks/pre-push; chmod +x .githooks/pre-push",
        [(".githooks", "hooks", ("pre-push",))],
    ),
    "of a submodule": (
        "rm .git/modules/a/b/hooks/pre-push",
        [(".git/modules/a/b/hooks", GONE, ("pre-push",))],
    ),
    "laid in a submodule of a submodule": (
        "mkdir .git/modules/a/b/modules/c/hooks; touch .git/modules/a/b/modules/c/hooks/x",
        [(".git/modules/a/b/modules/c/hooks", "hooks", ("x",))],
    ),
    "a setting removed": (
        "git config --unset core.hooksPath",
        [(".git/config", "removed_settings", ("core.hooksPath",)), (".githooks", GONE, ("commit-msg",))],
    ),
    "a setting switched off": (
        "git config core.fsmonitor false",
        [(".git/config", "removed_settings", ("core.fsmonitor",))],
    ),
    "a setting of a submodule": (
        "git config -f .git/modules/a/b/config core.pager x",
        [(".git/modules/a/b/config", "settings", ("core.pager",))],
    ),
    "a setting of a worktree": (
        "git config -f .git/worktrees/w/config.worktree core.editor x",
        [(".git/worktrees/w/config.worktree", "settings", ("core.editor",))],
    ),
    "a setting of a new worktree": (
        "mkdir .git/worktrees/v; git config -f .git/worktrees/v/config.worktree core.hooksPath x",
        [(".git/worktrees/v/config.worktree", "settings", ("core.hookspath",))],
    ),
    "included settings": (
        "git config -f shared alias.st '!x'; git config -f shared core.hooksPath x",
        [("shared", "settings", ("alias.st", "core.hookspath"))],
    ),
    "included settings, removed": ("rm shared", [("shared", "removed_settings", ("alias.st",))]),
    "settings that grew beyond what is read": (
        "yes '# more' | head -c 2000000 >> .git/config; git config core.sshCommand x",
        [(".git/config", "unreadable", ())],
    ),
    "settings elsewhere": (
        "cp .git/config x; git config -f x core.sshCommand x; ln -sf ../x .git/config",
        [(".git/config", "settings", ("core.sshcommand",))],
    ),
    "its directory by one elsewhere": (
        "mv .git/hooks .git/old; mkdir ../elsewhere; ln -s ../../elsewhere .git/hooks",
        [(HOOKS, "unreadable", ())],
    ),
    "by a link that leads out": (
        "ln -sf ../../../elsewhere .git/hooks/pre-push",
        [(HOOKS, "hooks", ("pre-push",))],
    ),
    "settings of a worktree, elsewhere": (
        "mv .git/worktrees ../w; ln -s ../../w .git/worktrees",
        [(".git/worktrees", "unreadable", ())],
    ),
    "the whole working tree": (
        'mv "$PWD" ../away',
        [
            (".git/config", "removed_settings", ("core.hooksPath", "core.fsmonitor", "include.path")),
            (".git/worktrees/w/config.worktree", "removed_settings", ("core.editor",)),
            (".git/modules/a/b/config", "removed_settings", ("core.fsmonitor",)),
            ("shared", "removed_settings", ("alias.st",)),
            (HOOKS, GONE, ("post-commit", "pre-commit", "pre-push")),
            (".git/modules/a/b/hooks", GONE, ("pre-push",)),
            (".githooks", GONE, ("commit-msg",)),
        ],
    ),
    "a remote that is a directory": (
        "git config remote.origin.pushurl ./evil.git",
        [(".git/config", "settings", ("remote.origin.pushurl",))],
    ),
    "a remote that is a file of its own": (
        "mkdir .git/remotes; echo 'URL: ./evil.git' > .git/remotes/up",
        [(".git/remotes/up", "settings", ("remote.up.url",))],
    ),
    "a branch that is a file of its own": (
        "mkdir .git/branches; echo './evil.git#main' > .git/branches/up",
        [(".git/branches/up", "settings", ("remote.up.url",))],
    ),
    "a rebase that goes on with a command": (
        f"mkdir .git/rebase-merge; printf 'pick 1 a\n exec ./evil a b\nx  ./evil\n#exec c\n' > {TODO}",
        [(TODO, "steps", ("./evil a b", "./evil"))],
    ),
    "a rebase in a worktree": (
        f"mkdir .git/worktrees/w/rebase-merge; echo 'exec ./evil' > .git/worktrees/w/{TODO[5:]}",
        [(f".git/worktrees/w/{TODO[5:]}", "steps", ("./evil",))],
    ),
    "a command that another line end seems to cut": (
        f"mkdir .git/rebase-merge; printf 'exec make\\f; ./evil\\n' > {TODO}",
        [(TODO, "steps", ("make\f; ./evil",))],
    ),
    "a rebase whose strategy is a program of the working tree": (
        "mkdir .git/rebase-merge; echo x/evil > .git/rebase-merge/strategy",
        [(".git/rebase-merge/strategy", "steps", ("git-merge-x/evil",))],
    ),
    "a cherry-pick whose strategy is one": (
        "mkdir .git/sequencer; git config -f .git/sequencer/opts options.strategy x/evil",
        [(".git/sequencer/opts", "steps", ("git-merge-x/evil",))],
    ),
    "the common part of the repository": (
        "cp -r .git evil; echo ../evil > .git/commondir",
        [(".git/commondir", "redirected", ())],
    ),
    "the common part of a worktree": (
        "echo ../../../evil > .git/worktrees/w/commondir",
        [(".git/worktrees/w/commondir", "redirected", ())],
    ),
    "the repository of a submodule": (
        "echo 'gitdir: ../evil' > sub/.git",
        [("sub/.git", "redirected", ())],
    ),
    "the common part of the repository, by a worktree": (
        "mkdir .git/worktrees/v .git/worktrees/v/hooks; echo worktrees/v > .git/commondir;"
        "git config -f .git/worktrees/v/config core.fsmonitor x; touch .git/worktrees/v/hooks/x",
        [
            (".git/worktrees/v/config", "settings", ("core.fsmonitor",)),
            (".git/worktrees/v/hooks", "hooks", ("x",)),
        ],
    ),
    "the common part of a worktree, by a link to all of them": (
        "mkdir .git/x; mv .git/worktrees .git/x; ln -s x/worktrees .git/worktrees",
        [(".git/worktrees", "unreadable", ())],
    ),
    "the common part of a worktree, past a link": (
        "ln -s ../../../evil/x .git/worktrees/w/l; echo l/../../.. > .git/worktrees/w/commondir",
        [(".git/worktrees/w/commondir", "redirected", ())],
    ),
    "the common part of a worktree, behind a blank": (
        "echo ' ../..' > .git/worktrees/w/commondir",
        [(".git/worktrees/w/commondir", "redirected", ())],
    ),
    "the repository of a submodule whose settings do not name it any more": (
        "echo 'gitdir: ../evil' > sub/.git; git config -f .git/modules/a/b/config --unset core.worktree",
        [("sub/.git", "redirected", ())],
    ),
    "the repository of a submodule, behind a blank": (
        "echo 'gitdir:  ../.git/modules/a/b' > sub/.git",
        [("sub/.git", "redirected", ())],
    ),
    "a submodule that has its repository in it": (
        f"{EMBEDDED}; {LINKED} new",
        [("new/.git/config", "settings", ("core.fsmonitor",)), ("new/.git/hooks", "hooks", ("x",))],
    ),
    "one in an index of version 4": (
        f"{EMBEDDED}; touch nearby; git update-index --index-version 4 --add nearby; {LINKED} new",
        [("new/.git/config", "settings", ("core.fsmonitor",)), ("new/.git/hooks", "hooks", ("x",))],
    ),
    "one in an index that is split": (
        f"{EMBEDDED}; {LINKED} new; git update-index --split-index; touch b; git update-index --add b",
        [("new/.git/config", "settings", ("core.fsmonitor",)), ("new/.git/hooks", "hooks", ("x",))],
    ),
    "one that was a file when the index was split": (
        f"{EMBEDDED}; mv new x; touch new; git update-index --add new; git update-index --split-index;"
        f"rm new; mv x new; {LINKED} new",
        [(".git/index", "unreadable", ())],
    ),
    "one in a submodule": (
        f"{LINKED} sub; cd sub; {EMBEDDED}; cd ..; GIT_INDEX_FILE=.git/modules/a/b/index {LINKED} new",
        [
            ("sub/new/.git/config", "settings", ("core.fsmonitor",)),
            ("sub/new/.git/hooks", "hooks", ("x",)),
        ],
    ),
    "a submodule that is a link": (
        f"{EMBEDDED}; mv new/.git there; ln -s ../there new/.git; {LINKED} new",
        [("new/.git", "unreadable", ())],
    ),
    "where every push goes": (
        "git config url.https://evil.example/.pushInsteadOf https://",
        [(".git/config", "rerouted", ("url.https://evil.example/.pushinsteadof",))],
    ),
    "where every push of a worktree goes": (
        "git config -f .git/worktrees/w/config.worktree url.https://evil.example/.insteadOf https://",
        [(".git/worktrees/w/config.worktree", "rerouted", ("url.https://evil.example/.insteadof",))],
    ),
    "where a checkout writes": (
        "git config core.worktree ../../home",
        [(".git/config", "worktree", ("../home",))],
    ),
    "where a checkout writes, by a link": (
        "ln -s ../home l; git config core.worktree ../l",
        [("l/.git", "unreadable", ()), (".git/config", "worktree", ("l",))],
    ),
    "where patches are written": (
        "git config format.outputDirectory ../home",
        [(".git/config", "worktree", ("../home",))],
    ),
    "where patches of a submodule are written": (
        "git config -f .git/modules/a/b/config format.outputDirectory ../home",
        [(".git/modules/a/b/config", "worktree", ("../home",))],
    ),
    "where a checkout of a submodule writes": (
        "git config -f .git/modules/a/b/config core.worktree ../../../../../home",
        [(".git/modules/a/b/config", "worktree", ("../home",))],
    ),
    "a submodule that is a link out of the tree": (
        f"{LINKED} new; mkdir -p ../evil/.git; ln -s ../evil new",
        [("new", "unreadable", ())],
    ),
    "settings that nobody can read": (
        "rm .git/config; mkfifo .git/config",
        [(".git/config", "unreadable", ())],
    ),
}


@pytest.mark.parametrize(("act", "expected"), CHANGES.values(), ids=CHANGES)
def test_what_changes_what_git_runs_is_told(top: Path, act: str, expected: Said) -> None:
    said = told(top, lambda: script(act)(top))
    assert [(path, what, tuple(map(str.lower, names))) for path, what, names in said] == [
        (path, what, tuple(map(str.lower, names))) for path, what, names in expected
    ]


@pytest.mark.parametrize(
    "act",
    [
        "rm .git/hooks/pre-commit.sample",
        "git config user.name x",
        "git config -f shared user.name x",
        "rm .githooks/README; echo x > .githooks/other",
        "mkdir .git/modules/a/b/objects",
        "mkdir .git/worktrees/v; echo ../.. > .git/worktrees/v/commondir",
        "rm -r sub .git/worktrees/w/commondir",
        "mkdir new .git/modules/d; echo 'gitdir: ../.git/modules/d' > new/.git; touch .git/modules/d/HEAD;"
        "git config -f .git/modules/d/config core.worktree ../../../new",
        "echo x > scripts/other",
        'git config core.worktree "$PWD"',
        "git config format.suffix .sh; git config format.outputDirectory ''",
        f"git init -q new; {LINKED} new; git -C new remote add origin https://host.example/a",
        f"{LINKED} sub; {LINKED} absent",
        "mkdir .git/remotes .git/branches; echo 'URL: https://host.example/a' > .git/remotes/up",
        f"mkdir .git/rebase-merge; echo 'pick 1 exec ./a' > {TODO}; echo ort > .git/rebase-merge/strategy",
        "mkdir .git/sequencer; git config -f .git/sequencer/opts options.strategy ours",
    ],
)
def test_what_changes_nothing_that_git_runs_is_not_told(top: Path, act: str) -> None:
    assert told(top, lambda: script(act)(top)) == []


@pytest.mark.parametrize("directory", [".git/modules", ".git/worktrees", ".git/hooks"])
def test_more_than_is_looked_at_is_told(top: Path, directory: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repository_files, "ENTRIES_MAX", 20)
    for name in ("DIRECTORIES_MAX", "FILES_MAX"):
        monkeypatch.setattr(repository_state, name, 20)

    def make_many() -> None:
        for number in range(30):
            path = top / directory / f"many{number}"
            if directory == HOOKS:
                path.touch()
                continue
            path.mkdir()
            for name in ("HEAD", "config", "config.worktree"):
                (path / name).touch()

    assert "unreadable" in [what for _, what, _ in told(top, make_many)]


@pytest.mark.parametrize(("count", "what"), [(30, "unreadable"), (3, "settings")])
def test_no_number_of_remotes_hides_what_the_settings_say(
    top: Path, count: int, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repository_state, "FILES_MAX", 20)

    def act() -> None:
        (top / ".git/remotes").mkdir()
        for number in range(count):
            (top / f".git/remotes/r{number}").write_text("URL: https://host.example/a\n")
        script("git config core.fsmonitor ./evil")(top)

    assert what in [said for _, said, _ in told(top, act)]


@pytest.mark.parametrize(
    ("file", "is_told"),
    [
        pytest.param(".git/config", True, id="of the repository"),
        pytest.param("shared", True, id="included"),
        pytest.param(".git/worktrees/w/config.worktree", True, id="of a worktree"),
        pytest.param(".git/worktrees/v/config.worktree", True, id="of a new worktree"),
        pytest.param(".git/modules/d/config", False, id="of a new submodule, whose remote it is"),
    ],
)
def test_another_address_of_a_remote_is_told_whichever_settings_have_it(
    file: str, is_told: bool, top: Path
) -> None:
    script("git config remote.origin.url https://host.example/a.git")(top)
    act = f"mkdir -p {os.path.dirname(file) or '.'}; git config -f {file} remote.origin.pushurl https://evil.example"
    said = told(top, lambda: script(act)(top))
    assert said == ([(file, "rerouted", ("remote.origin.pushurl",))] if is_told else [])


@pytest.mark.parametrize(
    ("remote", "is_told"), [("origin", False), (".", False), ("https://evil.example/", True)]
)
def test_a_branch_that_a_run_makes_is_told_where_it_goes_to_no_remote_that_was_there(
    remote: str, is_told: bool, top: Path
) -> None:
    script("git config remote.origin.url https://host.example/a.git")(top)
    said = told(top, lambda: script(f"git checkout -qb new; git config branch.new.pushRemote {remote}")(top))
    assert said == ([(".git/config", "rerouted", ("branch.new.pushRemote",))] if is_told else [])


def test_an_address_that_runs_something_is_told_for_that_alone(top: Path) -> None:
    script("git config remote.origin.url https://host.example/a.git")(top)
    said = told(top, lambda: script("git config remote.origin.pushurl 'ext::sh -c x'")(top))
    assert said == [(".git/config", "settings", ("remote.origin.pushurl",))]


def test_settings_whose_names_would_fill_the_memory_are_told(top: Path) -> None:
    """Each name has that of its section: these, of half a megabyte, come to four gigabytes."""

    def write(settings: int) -> None:
        lines = "".join(f"x{number} = !y\n" for number in range(settings))
        (top / ".git/config").write_text(f'{SETTINGS}[alias "{"a" * 400_000}"]\n{lines}')

    assert [what for _, what, _ in told(top, lambda: write(10))] == ["settings"]
    assert [(path, what) for path, what, _ in told(top, lambda: write(10_000))] == [
        (".git/config", "unreadable")
    ]


def test_a_linked_worktree_that_leads_to_another_repository_is_told(top: Path) -> None:
    linked = top.parent / "linked"
    linked.mkdir()
    gitfile = linked / ".git"
    gitfile.write_text(f"gitdir: {top}/.git/worktrees/w\n")
    repository = Repository(str(top / ".git"), str(linked))
    before = look(repository)
    assert [*changes(repository, before, look(repository, before))] == []
    gitfile.write_text("gitdir: evil\n")
    assert [(each.path, each.what) for each in changes(repository, before, look(repository, before))] == [
        (str(gitfile), "redirected")
    ]


def test_a_submodule_of_a_mode_that_git_does_not_write_is_told(top: Path) -> None:
    def plant() -> None:
        script(f"{EMBEDDED}; {LINKED} new")(top)
        index = top / ".git/index"
        index.write_bytes(index.read_bytes().replace(b"\0\0\xe0\0", b"\0\1\xe1\xff"))

    assert [path for path, _, _ in told(top, plant)] == ["new/.git/config", "new/.git/hooks"]


def test_a_submodule_of_such_a_mode_is_told_by_the_run_that_sets_something_in_it(top: Path) -> None:
    """The run that lays it may leave nothing there that git runs."""

    def plant() -> None:
        script(f"git init -q --template= new; {LINKED} new")(top)
        index = top / ".git/index"
        index.write_bytes(index.read_bytes().replace(b"\0\0\xe0\0", b"\0\1\xe1\xff"))

    assert told(top, plant) == []
    assert told(top, lambda: script("git -C new config core.fsmonitor ./x")(top)) == [
        ("new/.git/config", "settings", ("core.fsmonitor",))
    ]


@pytest.mark.parametrize("name", [b"d/", b"d/n"], ids=["as git", "as no git"])
@pytest.mark.parametrize("is_there", [False, True])
def test_a_tree_in_an_index_is_told_once_something_of_it_is_there(
    top: Path, is_there: bool, name: bytes
) -> None:
    """Then git takes the submodules in the tree for checked out, and the index does not name them."""
    rest = b"d/new".removeprefix(name)
    made = subprocess.run(
        ["git", "mktree", "--missing"], cwd=top, input=b"160000 commit %b\t%b\n" % (b"1" * 40, rest),
        capture_output=True, check=True,
    )  # fmt: skip
    tree = bytes.fromhex(made.stdout.decode())
    entry = bytes(24) + b"\0\0\x40\0" + bytes(12) + tree + bytes((0x40, len(name), 0x40, 0)) + name
    entry += bytes(8 - len(entry) % 8)
    index = b"DIRC" + (3).to_bytes(4) + (1).to_bytes(4) + entry + b"sdir" + bytes(4)
    unreadable: Said = [(".git/index", "unreadable", ())]

    def plant() -> None:
        (top / ".git/index").write_bytes(index + hashlib.sha1(index).digest())
        (top / ("d/new" if is_there else "d/other")).mkdir(parents=True)
        if name == b"d/" and not is_there:
            (top / "d/other").rmdir()

    assert told(top, plant) == (unreadable if is_there else [])
    assert "d/new" in subprocess.check_output(["git", "ls-files", "-s"], cwd=top, text=True)
    later = told(top, lambda: (top / "d/new").mkdir(exist_ok=True))
    assert later == ([] if is_there else unreadable)


@pytest.mark.parametrize(("blocks", "is_told"), [(1, False), (100, True)])
def test_an_index_with_blocks_that_no_git_writes_is_told(top: Path, blocks: int, is_told: bool) -> None:
    """Each thread of git reads a block of entries, which may be anywhere."""

    def plant() -> None:
        script("touch a; git add a")(top)
        table = b"\0\0\0\1" + b"\0\0\0\x0c\0\0\0\1" * blocks
        with (top / ".git/index").open("ab") as index:
            index.write(b"IEOT" + len(table).to_bytes(4) + table)

    assert told(top, plant) == ([(".git/index", "unreadable", ())] if is_told else [])


@pytest.mark.parametrize(("trees", "is_told"), [(9, False), (11, True)])
def test_an_index_with_more_trees_than_are_looked_at_is_told(
    top: Path, trees: int, is_told: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In version 4 the paths of 1 MB may take 64 MB."""
    monkeypatch.setattr(repository_state, "SPARSE_MAX", 10)
    entries = b"".join(
        bytes(24) + b"\0\0\x40\0" + bytes(32) + b"\0\1" + b"\0" + b"a\0" for _ in range(trees)
    )  # each name is the one before and another letter
    index = b"DIRC" + (4).to_bytes(4) + trees.to_bytes(4) + entries + b"sdir" + bytes(4)

    def plant() -> None:
        (top / ".git/index").write_bytes(index + hashlib.sha1(index).digest())

    assert told(top, plant) == ([(".git/index", "unreadable", ())] if is_told else [])


def test_submodules_that_are_links_to_each_other_are_looked_at_for_a_while(
    top: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repository_state, "DIRECTORIES_MAX", 50)
    make = ['echo "gitdir: $PWD/.git/modules/a/b" > sub/.git']
    for letter in "abcdefgh":
        make += [f"{LINKED} sub/{letter}", f"ln -s . sub/{letter}"]
        make += [f"GIT_INDEX_FILE=.git/modules/a/b/index {LINKED} {letter}"]
    script("; ".join(make))(top)
    seen = look(Repository(str(top / ".git"), str(top)))
    assert len(seen.pointers) < 100
    assert seen.unread


def test_more_of_indices_than_is_read_is_told(top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repository_state, "INDEX_MAX_BYTES", 300)

    def make_many() -> None:
        script(f"for i in 1 2 3; do git init -q new$i; {LINKED} new$i; ln .git/index new$i/.git/index; done")(
            top
        )

    assert ("unreadable", ()) in [(what, names) for _, what, names in told(top, make_many)]


def test_what_cannot_be_read_is_not_said_to_have_changed() -> None:
    """Of more snapshots than are looked at, nothing says whether the run has changed any."""
    assert "changed" in Change("/r/hooks", "hooks", ("post-commit",)).sentence
    told_of = Change("/r/snapshot", "unreadable").sentence
    assert "changed" not in told_of
    assert "/r/snapshot" in told_of
