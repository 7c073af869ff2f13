"""git works inside with settings that name other files of the home, and sees none that is denied."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from support.nono_run import NonoRun, nono_run

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")

SETTINGS = """\
[core]
\texcludesFile = ~/.gitignore
\thooksPath = ~/hooks
[commit]
\ttemplate = ~/.gitmessage
[include]
\tpath = .gitconfig.local
"""
OWN = "[user]\n\tname = A Person\n\temail = person@host.example\n"
HOOK = "#!/bin/sh\ntouch ran\n"
WORK = """
git init -q .
touch a.o b
git status --porcelain
GIT_EDITOR='sed -i 1s/^/subject/' git commit -q --allow-empty
git log -1 --format='%an %s'
ls ran
"""


@pytest.fixture
def person() -> Iterator[NonoRun]:
    with nono_run() as person:
        home = person.user.home
        (home / "hooks").mkdir()
        texts = {".gitconfig": SETTINGS, ".gitconfig.local": OWN, ".gitignore": "*.o\n", ".gitmessage": "\n"}
        for name, text in {**texts, "hooks/pre-commit": HOOK}.items():
            (home / name).write_text(text)
            person.give(home / name)
        (home / "hooks/pre-commit").chmod(0o755)
        yield person


def test_git_reads_what_its_settings_name(person: NonoRun) -> None:
    outside = person.bare(["sh", "-euc", WORK])
    assert (outside.exit_code, outside.stdout) == (0, "?? b\nA Person subject\nran\n"), outside.stderr
    shutil.rmtree(person.project / ".git")
    (person.project / "ran").unlink()
    inside = person.run(["sh", "-euc", WORK], profile={"groups": {"include": ["git_config"]}})
    assert (inside.exit_code, inside.stdout) == (0, outside.stdout), inside.stderr


def test_a_file_that_is_denied_or_not_named_is_not_read(person: NonoRun) -> None:
    home = person.user.home
    (home / ".gitignore.other").write_text("x")
    profile = {"groups": {"include": ["git_config"]}, "filesystem": {"deny": ["~/.gitmessage"]}}
    for name in (".gitmessage", ".gitignore.other"):
        ended = person.run(["cat", str(home / name)], profile=profile)
        assert ended.exit_code == 1
        assert "Permission denied" in ended.stderr
    assert person.run(["cat", str(home / ".gitignore")], profile=profile).stdout == "*.o\n"


def test_a_run_with_the_dotfiles_does_not_choose_what_the_next_run_reads(person: NonoRun) -> None:
    home = person.user.home
    letters = home / "letters"
    for directory in (home / "dotfiles", letters):
        directory.mkdir()
        person.give(directory)
    for name, text in {"letters/one": "canary", "dotfiles/git": "", "dotfiles/ignored": "*.o\n"}.items():
        (home / name).write_text(text)
        person.give(home / name)
    (home / ".gitconfig").write_text("[include]\n\tpath = dotfiles/git\n")
    plant = "printf '[core]\\nhooksPath = ~/letters\\nexcludesFile = ~/dotfiles/ignored\\n' > ~/dotfiles/git"
    profile = {"groups": {"include": ["git_config"]}}
    laid = person.run(["sh", "-euc", plant], profile=profile, flags=[f"--allow={home / 'dotfiles'}"])
    assert laid.exit_code == 0, laid.stderr
    later = person.run(["cat", str(letters / "one")], profile=profile)
    assert (later.exit_code, later.stdout) == (1, ""), later.stdout
    assert f"'{letters}' is not granted" in later.stderr
    assert person.run(["cat", str(home / "dotfiles/ignored")], profile=profile).stdout == "*.o\n"
    own = "[core]\n\thooksPath = ~/letters\n"
    (home / ".gitconfig").write_text(own)
    assert person.run(["cat", str(letters / "one")], profile=profile).stdout == "canary"


@pytest.mark.needs("mounts")
def test_a_denied_file_that_a_commit_empties_is_told_and_one_that_it_leaves_is_not(person: NonoRun) -> None:
    profile = {"groups": {"include": ["git_config"]}, "filesystem": {"deny": ["$WORKDIR/key.env"]}}
    made = person.bare(["sh", "-euc", "git init -q .; echo KEY=1 > key.env; git add .; git commit -qnm one"])
    assert made.exit_code == 0, made.stderr
    for argv, is_told in (
        (["git", "commit", "-qn", "--allow-empty", "-m", "two"], False),
        (["git", "commit", "-qnam", "three"], True),
    ):
        ended = person.run(argv, profile=profile, flags=["--silent"])
        assert ended.exit_code == 0, ended.stderr
        assert ("this run put key.env into git without content" in ended.stderr) is is_told
