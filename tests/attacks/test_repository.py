"""The repository of a working directory: what a command can have git run outside, and what is told of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.nono_run import NO_NAMESPACES, NONO, NonoRun, nono_run

pytestmark = pytest.mark.any_user

HOOK = "printf '#!/bin/sh\\ntrue\\n' > .git/hooks/pre-commit && chmod +x .git/hooks/pre-commit"


@pytest.fixture
def runner() -> Iterator[NonoRun]:
    with nono_run() as made:
        outside(
            made, "git init -q . && git config user.name n && git config user.email e && touch f && git add f"
        )
        yield made


def outside(runner: NonoRun, script: str) -> None:
    done = runner.user.run(["sh", "-euc", script], cwd=runner.project)
    assert done.returncode == 0, done.stderr


def inside(runner: NonoRun, script: str, *flags: str, directory: str = ".") -> str:
    """Return the output of a script inside, and of nono."""
    argv = [*NONO, "run", *(flags or ("--allow=.",)), "--", "sh", "-c", script]
    done = runner.user.run(argv, cwd=runner.project / directory)
    return done.stdout + done.stderr


@pytest.mark.needs("namespaces", ordinary=True)
@pytest.mark.parametrize(
    "attack",
    [
        HOOK,
        "rm -r .git/hooks && mkdir .git/hooks && " + HOOK,
        "mv .git/hooks .git/old && mkdir .git/hooks && " + HOOK,
        "mv .git old && cp -r old .git && " + HOOK,
        "ln -sf /tmp/x .git/hooks/pre-commit",
        "git init -q --separate-git-dir=elsewhere . && touch elsewhere/hooks/pre-commit",
    ],
)
def test_a_hook_is_not_laid(runner: NonoRun, attack: str) -> None:
    inside(runner, attack)
    assert [*runner.project.glob(".git/hooks/pre-commit")] == []
    assert (runner.project / ".git").is_dir()


def test_hooks_that_are_there_run_inside(runner: NonoRun) -> None:
    outside(runner, f"{HOOK}; echo 'echo the hook ran >&2' >> .git/hooks/pre-commit")
    assert "the hook ran" in inside(runner, "git commit -qm one")


def test_hooks_that_are_granted_by_name_are_written(runner: NonoRun) -> None:
    said = inside(runner, HOOK, "--allow=.", "--allow=.git/hooks")
    assert (runner.project / ".git/hooks/pre-commit").exists()
    assert "changed hooks" in said
    assert "pre-commit" in said


def test_a_changed_hook_is_told_where_no_mount_holds_it(runner: NonoRun) -> None:
    assert "changed hooks" in inside(runner, HOOK, "--allow=.", NO_NAMESPACES)
    assert "changed hooks" not in inside(runner, "true", "--allow=.", NO_NAMESPACES)


@pytest.mark.parametrize("flag", ["--namespaces=auto", NO_NAMESPACES])
def test_a_setting_that_has_git_run_a_program_is_told(runner: NonoRun, flag: str) -> None:
    assert (
        "this run set core.hookspath"
        in inside(runner, "git config core.hooksPath x", "--allow=.", flag).lower()
    )
    assert "this run set" not in inside(runner, "git config user.name m", "--allow=.", flag)


def test_a_silent_run_tells_it_too(runner: NonoRun) -> None:
    said = inside(runner, "git config core.sshCommand x", "--silent", "--allow=.")
    assert "this run set core.sshcommand" in said.lower()
    assert inside(runner, "git config user.name m", "--silent", "--allow=.") == ""


def test_a_report_names_the_setting_that_has_git_run_a_program(runner: NonoRun) -> None:
    def reported(script: str) -> str:
        inside(runner, script, "--allow=.")
        return runner.user.run([*NONO, "report", "latest"], cwd=runner.project).stdout.lower()

    assert "git outside runs what these name: core.fsmonitor" in " ".join(
        reported("git config core.fsmonitor ./x").split()
    )
    assert "fsmonitor" not in reported("git config user.name m")


def test_a_gitfile_of_the_command_opens_no_other_repository(runner: NonoRun) -> None:
    other = runner.user.home / "other"
    outside(runner, f"git init -q {other} && echo private > {other}/.git/private && rm -r .git")
    for target in (f"{other}/.git", f"{other}/.git/worktrees/x"):
        outside(runner, f"echo 'gitdir: {target}' > .git")
        assert "private" not in inside(runner, f"cat {other}/.git/private").splitlines()


@pytest.mark.needs("namespaces", ordinary=True)
def test_the_repository_of_a_worktree_is_granted_with_it(runner: NonoRun) -> None:
    outside(runner, "git commit -qm one && git worktree add -q ../w")
    try:
        said = inside(
            runner, "touch g && git add g && git commit -qm two && git status --short", directory="../w"
        )
        assert "fatal" not in said
        assert str(runner.project / ".git") in said  # the summary names it
        inside(runner, f"touch {runner.project}/.git/hooks/pre-commit", directory="../w")
        assert not (runner.project / ".git/hooks/pre-commit").exists()
        assert "denied" in inside(runner, f"touch {runner.project}/.git/g", "--read=.", directory="../w")
    finally:
        outside(runner, "git worktree remove -f ../w")


def test_a_denied_repository_is_not_granted_with_a_directory_below(runner: NonoRun) -> None:
    outside(runner, "mkdir sub && touch .git/kept")
    profile = runner.user.home / "p.json"
    profile.write_text('{"filesystem": {"deny": ["%s"]}}' % (runner.project / ".git/kept"))
    said = inside(runner, "git status", f"--profile={profile}", "--allow=.", directory="sub")
    assert "not a git repository" in said


@pytest.mark.parametrize("flag", ["--allow=.git/hooks", NO_NAMESPACES])
def test_a_hook_that_is_removed_is_told(runner: NonoRun, flag: str) -> None:
    outside(runner, HOOK)
    assert "disabled hooks" not in inside(runner, "true", "--allow=.", flag)
    assert "disabled hooks" in inside(runner, "chmod -x .git/hooks/pre-commit", "--allow=.", flag)
    outside(runner, HOOK)
    said = inside(runner, "rm .git/hooks/pre-commit", "--silent", "--allow=.", flag)
    assert "removed or disabled hooks in" in said
    assert "no longer runs pre-commit" in said
    report = runner.user.run([*NONO, "report", "latest"], cwd=runner.project).stdout
    assert "no longer runs these hooks: pre-commit" in " ".join(report.split())


def test_a_setting_that_is_removed_is_told(runner: NonoRun) -> None:
    outside(runner, "git config core.hooksPath .githooks")
    said = inside(runner, "git config --unset core.hooksPath")
    assert "this run removed core.hookspath from" in said.lower()


def test_no_spelling_of_a_setting_keeps_it_from_being_told(runner: NonoRun) -> None:
    hidden = r"printf '# \\\n[core]\n\thooksPath = on\n' >> .git/config"
    assert "this run set core.hookspath" in inside(runner, hidden).lower()


@pytest.mark.parametrize("flag", ["--namespaces=auto", NO_NAMESPACES])
def test_a_repository_that_leads_to_another_is_told(runner: NonoRun, flag: str) -> None:
    said = inside(runner, "cp -r .git other && echo ../other > .git/commondir", "--allow=.", flag)
    assert "lead git to another repository" in said
    assert "lead git" not in inside(runner, "touch g", "--allow=.", flag)


BARE = {
    "hooks": "rm -r .git && git init -q --bare .",
    ".bare/hooks": "rm -r .git && git init -q --bare .bare && echo 'gitdir: ./.bare' > .git",
}


@pytest.mark.needs("namespaces", ordinary=True)
@pytest.mark.parametrize("hooks", BARE)
def test_a_hook_of_a_bare_repository_is_not_laid(runner: NonoRun, hooks: str) -> None:
    outside(runner, BARE[hooks])
    laid = f"touch {hooks}/update && chmod +x {hooks}/update"
    inside(runner, laid)
    assert not (runner.project / hooks / "update").exists()
    assert "changed hooks" in inside(runner, laid, "--allow=.", NO_NAMESPACES)
    assert "changed hooks" not in inside(runner, "true", "--allow=.", NO_NAMESPACES)


@pytest.mark.root
@pytest.mark.needs("CAP_SYS_ADMIN", suite=True)
def test_a_setting_is_told_where_nothing_can_be_recorded_any_more(runner: NonoRun) -> None:
    state, user = runner.user.home / ".local/state", runner.user
    state.mkdir(parents=True, exist_ok=True)
    small = (
        f'mount -t tmpfs -o size=1m,mode=700,uid={user.uid},gid={user.gid} none "$1" &&'
        f'mkdir "$1/beside" && chown {user.uid} "$1/beside" && shift && exec "$@"'
    )
    stage = ["unshare", "--mount", "sh", "-c", small, "sh", str(state)]
    # Refusals fill the last page that the log has.
    refused = 'for i in $(seq 40); do curl -s "http://$i.test/"; done'
    filled = f'git config core.sshCommand x; cat /dev/zero > "$0"; {refused}'
    command = ["sh", "-c", filled, str(state / "beside/filled")]
    ended = runner.run(command, flags=["--silent", f"--allow={state}/beside"], stage=stage)
    assert "audit log" in ended.stderr
    assert "this run set core.sshcommand" in ended.stderr.lower()


# What a command leaves running has a moment to end by itself, once the command itself is gone.
LATE = "(while kill -0 $$ 2>/dev/null; do :; done; sleep 0.2; %s) >/dev/null 2>&1 &"


@pytest.mark.parametrize("flag", ["--block-net", "--allow-domain=granted.test", NO_NAMESPACES])
def test_a_setting_is_told_that_is_made_after_the_command_has_ended(runner: NonoRun, flag: str) -> None:
    said = inside(runner, LATE % "git config core.sshCommand x", "--allow=.", flag)
    assert (runner.user.run(["git", "config", "core.sshCommand"], cwd=runner.project)).stdout == "x\n"
    assert "this run set core.sshcommand" in said.lower()
    assert "this run" not in inside(runner, LATE % "git config user.name m", "--allow=.", flag)


@pytest.fixture
def nowhere() -> Iterator[NonoRun]:
    """Yield a project that is no repository."""
    with nono_run() as made:
        yield made


MADE = {
    "settings": ("git init -q . && git config core.fsmonitor ./x", "this run set core.fsmonitor"),
    "hooks": ("git init -q --template= . && mkdir .git/hooks && " + HOOK, "this run changed hooks"),
    "elsewhere": (
        "git init -q --separate-git-dir=there . && git config core.fsmonitor ./x",
        "this run set core.fsmonitor",
    ),
    "bare": ("git init -q --bare . && git config core.fsmonitor ./x", "this run set core.fsmonitor"),
    "with a linked head": (
        "git init -q . && git config core.fsmonitor ./x && ln -sf refs/heads/main .git/HEAD",
        "this run set core.fsmonitor",
    ),
    "with linked parts": (
        "git init -q . && git config core.fsmonitor ./x && mv .git/refs there && ln -s ../there .git/refs",
        "this run set core.fsmonitor",
    ),
    "with a common part": (
        "git init -q . && mv .git it && mkdir .git && mv it/HEAD .git && echo ../it > .git/commondir",
        "lead git to another repository",
    ),
    "behind a blank": (
        "git init -q . && git config core.fsmonitor ./x && mv .git ' there' && git init -q --bare there &&"
        "echo 'gitdir:  there' > .git",
        "this run set core.fsmonitor",
    ),
    "past a link": (
        "git init -q --bare there && mkdir -p a/b && ln -s a/b c && echo 'gitdir: c/../there' > .git",
        "lead git to another repository",
    ),
    "in a long file": (
        "git init -q . && git config core.fsmonitor ./x && mv .git there &&"
        "(echo 'gitdir: there' && yes '' | head -c 999999) > .git",
        "this run set core.fsmonitor",
    ),
    "in a file that is too long": (
        "git init -q . && mv .git there && (echo 'gitdir: there' && yes '' | head -c 1048576) > .git",
        "lead git to another repository",
    ),
    "a pointer": ("echo 'gitdir: /var/tmp/x' > .git", "lead git to another repository"),
    "a link": ("ln -s /var/tmp/x .git", "lead git to another repository"),
}


@pytest.mark.parametrize("flags", [(), (NO_NAMESPACES, "--silent")], ids=["namespaces", "none, silent"])
@pytest.mark.parametrize(("attack", "sentence"), MADE.values(), ids=MADE)
def test_what_git_runs_in_a_repository_that_a_run_makes_is_told(
    nowhere: NonoRun, attack: str, sentence: str, flags: tuple[str, ...]
) -> None:
    assert sentence in inside(nowhere, attack, "--allow=.", *flags)


def test_a_repository_that_replaces_another_is_told(runner: NonoRun) -> None:
    attack = "mv .git real && echo gitdir: real > .git && git config core.fsmonitor ./x"
    assert "this run set core.fsmonitor" in inside(runner, attack, "--allow=.", NO_NAMESPACES)


@pytest.mark.parametrize("flag", ["--namespaces=auto", NO_NAMESPACES])
def test_what_git_runs_in_a_submodule_that_a_run_makes_is_told(runner: NonoRun, flag: str) -> None:
    made = "git init -q s && git -C s commit -q --allow-empty -m s && git -C s config core.fsmonitor"
    laid = f"{made} 'touch ../ran; false' && git add s"
    outside(runner, "git config --global user.name n && git config --global user.email e")
    assert "this run set core.fsmonitor" in inside(runner, laid, "--allow=.", flag)
    outside(runner, "git status")
    assert (runner.project / "ran").exists()
    assert "this run" not in inside(runner, "touch g && git add g", "--allow=.", flag)


@pytest.mark.parametrize(
    "setting",
    [
        "http.sslVerify false",
        "http.proxy http://127.0.0.1:1",
        "http.cookieFile x",
        "credential.trace x",
        "credential.https://host.example.oauthTokenURL http://127.0.0.1:1",
    ],
)
def test_a_setting_by_which_a_password_goes_elsewhere_is_told(runner: NonoRun, setting: str) -> None:
    assert "git outside may trust another machine" in inside(runner, f"git config {setting}")
    assert "this run" not in inside(runner, "git config http.postBuffer 9999")


REROUTED = {
    "git config remote.origin.pushurl {0}": "this run set or removed remote.origin.pushurl",
    "git config remote.origin.url {0}": "this run set or removed remote.origin.url",
    "git config url.{0}.insteadOf {1}": "this run set or removed",
}


@pytest.mark.parametrize(("act", "sentence"), REROUTED.items(), ids=REROUTED)
def test_a_push_that_a_run_sends_elsewhere_is_told(runner: NonoRun, act: str, sentence: str) -> None:
    """The person pushes what the command could not send away itself."""
    evil, good = "ssh://git@evil.example/a.git", "ssh://git@host.example/a.git"
    outside(runner, f"git remote add origin {good} && git commit -qm one")
    said = inside(runner, act.format(evil, good), "--block-net", "--allow=.")
    assert sentence in said
    assert "git outside may push to another place than before" in said
    outside(runner, "git remote get-url --push origin > to")
    assert (runner.project / "to").read_text() == f"{evil}\n"
    assert "this run" not in inside(runner, f"git remote add other {evil}", "--block-net", "--allow=.")


def test_a_branch_of_a_run_that_is_pushed_elsewhere_is_told(runner: NonoRun) -> None:
    """Agents work on branches that they make, and the person pushes those."""
    evil = "ssh://git@evil.example/a.git"
    outside(runner, "git remote add origin ssh://git@host.example/a.git && git commit -qm one")
    act = f"git checkout -qb new; git config branch.new.pushRemote {evil}"
    assert "this run set or removed branch.new.pushRemote" in inside(runner, act, "--block-net", "--allow=.")
    outside(runner, "git for-each-ref --format='%(push:remotename)' refs/heads/new > to")
    assert (runner.project / "to").read_text() == f"{evil}\n"
    usual = "git checkout -qb other; git config branch.other.pushRemote origin"
    assert "this run" not in inside(runner, usual, "--block-net", "--allow=.")


def test_a_working_tree_elsewhere_is_told(runner: NonoRun) -> None:
    outside(runner, "git commit -qm one && mkdir ../victim")
    said = inside(runner, "git config core.worktree ../../victim")
    assert "git outside writes files of the repository to" in said
    outside(runner, "git checkout -q .")
    assert (runner.user.home / "victim/f").exists()


def test_patches_that_are_written_elsewhere_are_told(runner: NonoRun) -> None:
    """Fedora's shell reads every file in ~/.bashrc.d, and so runs the message of a commit."""
    outside(runner, "git commit -qm one && mkdir ../victim")
    said = inside(runner, "git config format.outputDirectory ../victim")
    assert "git outside writes files of the repository to" in said
    outside(runner, "git format-patch -q --root -1")
    assert (runner.user.home / "victim/0001-one.patch").exists()
    assert "this run" not in inside(runner, "git config format.signOff true")


@pytest.mark.parametrize("act", ["git init -q .", "git init -q sub", "mkdir .git", "true"])
def test_a_repository_in_which_git_runs_nothing_is_not_told(nowhere: NonoRun, act: str) -> None:
    said = inside(nowhere, act, "--allow=.")
    assert "this run" not in said


@pytest.mark.parametrize("flags", [(), (NO_NAMESPACES, "--silent")], ids=["namespaces", "none, silent"])
def test_the_repository_of_another_granted_directory_is_watched(
    nowhere: NonoRun, flags: tuple[str, ...]
) -> None:
    outside(nowhere, "mkdir here there && git init -q there && cd there && git config core.pager less")
    grants = [f"--allow={nowhere.project}/{name}" for name in ("here", "there")]
    script = "cd ../there && touch .git/hooks/x && chmod +x .git/hooks/x && git config core.fsmonitor ./x"
    said = inside(nowhere, script, *grants, *flags, directory="here")
    assert "this run changed hooks" in said
    assert "this run set core.fsmonitor" in said
    assert "this run" not in inside(nowhere, "touch ../there/f", *grants, *flags, directory="here")
