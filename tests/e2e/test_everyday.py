"""What a person does all day works in namespaces, where files of root look as if they were nobody's.

Where a host makes no namespaces, most of it works without them.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from support.nono_run import NONO, PROGRAM_GRANTS, Ended, NonoRun, nono_run
from support.running.needs import lacking
from support.terminal import terminal

COMMANDS = [
    "mktemp",
    "ps -ef",
    "cat /proc/self/status",
    "sh -c 'cat /proc/self/maps'",
    "free",
    "df .",
    "uptime",
    "nproc",
    "id",
    "tar -cf a.tar -C /etc/ssl certs && tar -xf a.tar",
    "cp -a /etc/ssl/certs copied",
    "rsync -a /etc/ssl/certs synced",
    "ssh -G host.example",
    "ssh-keygen -q -t ed25519 -N '' -f key",
    "gpg --batch --gen-random 0 1 | od",
    "GNUPGHOME=$PWD gpg --batch --list-keys",
    "git init -q r && cd r && git -c user.name=n -c user.email=e commit -qm m --allow-empty && git status",
    "script -qc 'echo typed' /dev/null",
    'python3 -c "import pty; pty.openpty()"',
    'python3 -c "import multiprocessing as m; p = m.Pool(2); p.map(abs, [1]); p.close(); p.join()"',
    'python3 -c "import multiprocessing as m; m.Queue().put(1)"',
    'python3 -c "import tempfile; tempfile.TemporaryFile()"',
    'node -e "process.memoryUsage()"',
    "npm --version",
    "pip3 --version",
    "vi -es -c 'q!' /etc/passwd",
    "docker --version",
    "ipcmk -M 4096",
    "fakeroot sh -c 'touch a && chown 5:5 a'",
    "sh -c 'sleep 9 & kill $!; wait $!' || true",
    "setsid -w true",
    "timeout 5 true",
    "nice true",
    "printf '#include <stdio.h>\\nint main(void) { return !puts(\"hi\"); }' > a.c; cc a.c && ./a.out",
    "flock lock true",
    "cat /etc/*release",
    "groovy -e 0",
    "paperconf",
    "svnadmin create s",
    "firefox --profile $PWD --headless --screenshot $PWD/a.png about:blank && test -s a.png",
]


# Terminals, shared memory and System V IPC of one's own.
IN_NAMESPACES = ("script ", "pty.", "multiprocessing", "ipcmk ", "fakeroot ")


def everyday(command: str) -> object:
    if any(word in command for word in IN_NAMESPACES):
        return pytest.param(command, marks=pytest.mark.needs("namespaces"))
    # ssh looks whose its configuration is.
    return pytest.param(
        command, marks=pytest.mark.needs("files of root") if command.startswith("ssh ") else ()
    )


@pytest.fixture(scope="module")
def runner() -> Iterator[NonoRun]:
    with nono_run() as made:
        yield made


@pytest.mark.parametrize("command", [everyday(command) for command in COMMANDS])
def test_it_ends_as_it_does_without_nono(command: str, runner: NonoRun) -> None:
    programs = [word for word in command.replace("'", " ").split() if word.isalnum() or word == "ssh-keygen"]
    if not shutil.which(programs[0]) and "=" not in command.split()[0]:
        pytest.skip(f"{programs[0]} is not installed")
    argv = ["sh", "-c", f'cd "$(mktemp -d -p .)" && {command}']
    bare = runner.bare(argv)
    if "No user exists" in bare.stderr:
        pytest.skip("ssh wants an account with a name, which the user that root's suite makes does not have")
    has_namespaces = not lacking("namespaces", runner.user.uid)
    run = runner.run(argv, profile={}, flags=["--namespaces=require"] if has_namespaces else [])
    assert (bare.exit_code, bare.stderr) == (0, bare.stderr)
    assert run.exit_code == 0, run.stderr


def test_settings_that_ssh_includes_are_those_of_the_system(runner: NonoRun) -> None:
    """ssh refuses those that belong to neither root nor the user, and inside root is nobody."""
    script = 'for each in /etc/ssh/ssh_config.d/*; do test -f "$each" && cat "$each"; done; true'
    run = runner.run(["sh", "-c", script], profile={})
    assert (run.exit_code, run.stdout) == (0, runner.bare(["sh", "-c", script]).stdout)
    changed = runner.run(["sh", "-c", "echo x >> /etc/ssh/ssh_config.d/new"], profile={})
    assert changed.exit_code != 0


@pytest.mark.parametrize("flags", [[], ["--namespaces=off"]], ids=repr)
def test_what_etc_has_for_everybody_is_read_and_what_may_be_secret_is_not(
    flags: list[str], runner: NonoRun
) -> None:
    read = ["sh", "-c", "ls /etc; cat /etc/*release"]
    inside = runner.run(read, profile={}, flags=flags)
    assert (inside.exit_code, inside.stdout) == (0, runner.bare(read).stdout)
    names = ("fstab", "machine-id", "environment", "ssh/sshd_config", "apt/sources.list.d/debian.sources")
    kept = [f"/etc/{name}" for name in names]
    there = [path for path in kept if os.path.exists(path) and os.stat(path).st_mode & stat.S_IROTH]
    if not there:
        pytest.skip("this host has none of the files that are kept back")
    for path in there:
        refused = runner.run(["cat", path], profile={}, flags=flags)
        assert (refused.exit_code, refused.stdout) == (1, "")
        granted = runner.run(["cat", path], profile={}, flags=[*flags, f"--read-file={path}"])
        assert granted.exit_code == 0, granted.stderr


# As pnpm 12 does for its locks and just for its scripts: where the directory is named, it has to be writable.
LOCKS = """
d=${XDG_RUNTIME_DIR:-$TMPDIR}/locks; mkdir "$d" && chmod 700 "$d" && : <>"$d/all.lock" || exit
echo "${XDG_RUNTIME_DIR-none}"
"""
BY_ITSELF, IN_PROXIED = ["--namespaces=off"], ["--namespaces=off", "--allow-domain=host.example"]


@pytest.mark.parametrize(
    ("flags", "has_one"),
    [
        pytest.param(
            ["--namespaces=require", "--allow-domain=host.example"],
            True,
            id="namespaces",
            marks=pytest.mark.needs("listener"),  # without one the run has a directory of its own there
        ),
        pytest.param(IN_PROXIED, True, id="none"),
        pytest.param(IN_PROXIED, False, id="none, and none outside"),
        pytest.param(BY_ITSELF, False, id="without a proxy, and none outside"),
    ],
)
def test_locks_of_the_session_are_kept_in_a_directory_of_the_run(
    flags: list[str], has_one: bool, runner: NonoRun
) -> None:
    outside = runner.user.home / "run"
    environment = {"XDG_RUNTIME_DIR": str(outside) if has_one else ""}
    if flags[0] == "--namespaces=require" and lacking("namespaces", runner.user.uid):
        pytest.skip("this host makes no namespaces")
    run = runner.run(["sh", "-c", LOCKS], profile={}, flags=flags, environment=environment)
    assert run.exit_code == 0, run.stderr
    assert run.stdout.startswith("none" if flags[0] == "--namespaces=require" else "/tmp/nono-"), run.stdout
    assert not (outside / "locks").exists()


@pytest.mark.needs("listener")
def test_a_session_of_which_something_is_granted_is_found_inside(runner: NonoRun) -> None:
    outside = runner.user.home / "run"
    shown = ["sh", "-c", 'echo "${XDG_RUNTIME_DIR-none}"']
    environment = {"XDG_RUNTIME_DIR": str(outside)}
    proxied = ["--allow-domain=host.example"]
    granted = [*proxied, f"--allow-unix-socket-dir={outside}"]
    open_network = runner.run(shown, profile={}, environment=environment)
    assert open_network.stdout == f"{outside}\n", open_network.stderr
    with_socket = runner.run(shown, profile={}, flags=granted, environment=environment)
    assert with_socket.stdout == f"{outside}\n", with_socket.stderr
    assert runner.run(shown, profile={}, flags=proxied, environment=environment).stdout != f"{outside}\n"


@pytest.mark.needs("namespaces")  # in which terminals can be opened
def test_tmux_starts_in_a_window_of_a_tmux_outside(runner: NonoRun) -> None:
    """tmux tries the socket in $TMUX before its own, and the command cannot reach the one outside."""
    if not shutil.which("tmux"):
        pytest.skip("tmux is not installed")
    script = "export TERM=xterm; tmux -f /dev/null new -d 'sleep 9' && tmux has-session && tmux kill-server"
    run = runner.run(
        ["sh", "-c", script], profile={}, environment={"TMUX": f"/tmp/tmux-{runner.user.uid}/outside,123,0"}
    )
    assert run.exit_code == 0, run.stderr


def test_neovim_keeps_its_history_beside_the_caches_and_reads_none_of_the_persons(runner: NonoRun) -> None:
    """Where it cannot, it asks for Enter at its end."""
    if not shutil.which("nvim"):
        pytest.skip("nvim is not installed")
    theirs = "~/.local/state/nvim/typed"
    runner.bare(["sh", "-euc", f"mkdir -p ~/.local/state/nvim; echo secret > {theirs}"])
    argv = ["nvim", "--headless", "-u", "NONE", "+wshada", "+q", "a.txt"]
    run = runner.run(argv, profile={})
    assert (run.exit_code, run.stderr.partition("E886")[1:]) == (0, ("", "")), run.stderr
    refused = runner.run(["sh", "-c", f"cat {theirs}"], profile={})
    assert (refused.exit_code, refused.stdout) == (1, "")


@pytest.mark.needs("namespaces")  # in which terminals can be opened
def test_midnight_commander_starts_in_a_home_without_settings(runner: NonoRun) -> None:
    if not shutil.which("mc"):
        pytest.skip("mc is not installed")
    argv = runner.argv(["mc", "-u"], profile={}, flags=["--silent"])  # -u: without a shell beside it
    with terminal(argv, runner.user.environment({"TERM": "xterm"}), runner.project, (24, 80)) as person:
        person.wait_for(b"Quit")  # the last of the keys that it shows
        person.type(b"\0330\r")  # F10, and yes
        assert person.end() == 0
    assert b"Cannot create" not in person.shown


def test_nono_inside_stores_nothing_where_the_command_keeps_its_state(runner: NonoRun) -> None:
    script = 'mkdir -p "$XDG_STATE_HOME"'  # which the command may do
    run = runner.run(
        ["sh", "-euc", f"{script}; printf key | {' '.join(NONO)} credential set openai"], profile={}
    )
    assert run.exit_code == 1
    assert "this is inside a run of nono" in run.stderr


@pytest.mark.parametrize("planted", ["ln -s $HOME/planted", "mkfifo", "mkdir"])
def test_a_run_starts_where_an_earlier_one_replaced_settings_that_nono_makes(
    planted: str, runner: NonoRun
) -> None:
    made = 'test -f "$HATCH_CONFIG"; rm -rf "$HATCH_CONFIG"'
    first = runner.run(["sh", "-euc", f'{made}; {planted} "$HATCH_CONFIG"'], profile={})
    assert first.exit_code == 0, first.stderr
    second = runner.run(["sh", "-euc", 'rm -rf "$HATCH_CONFIG"'], profile={})
    assert second.exit_code == 0, second.stderr
    assert not (runner.user.home / "planted").exists()


@pytest.mark.parametrize(("grants", "prints"), [([], "usual"), (["--read-file=~/first/tool"], "first")])
def test_a_script_that_runs_with_another_interpreter_than_outside_says_so(
    grants: list[str], prints: str, runner: NonoRun
) -> None:
    home = runner.user.home
    made = "".join(
        f"mkdir -p {place}; printf '#!/bin/sh\\necho {name}\\n' > {place}/tool; chmod +x {place}/tool; "
        for place, name in ((f"{home}/first", "first"), (f"{runner.project}/usual", "usual"))
    )
    script = f"{runner.project}/script"
    runner.bare(["sh", "-euc", f"{made} echo '#!/usr/bin/env tool' > {script}; chmod +x {script}"])
    path = f"{home}/first:{runner.project}/usual:{os.environ['PATH']}"
    flags = [each.replace("~", str(home)) for each in grants]
    run = runner.run([script], profile={}, flags=flags, environment={"PATH": path})
    assert (run.exit_code, run.stdout.strip()) == (0, prints), run.stderr
    warning = f"because {home}/first/tool, which is first on PATH, is not granted"
    assert (warning in " ".join(run.stderr.split())) is (prints == "usual")


def wrapped(runner: NonoRun, script: str, directory: Path, wrapper: Sequence[str] = ()) -> Ended:
    argv = [*NONO, "wrap", *PROGRAM_GRANTS, f"--allow={directory}", f"--workdir={directory}", "--"]
    return runner.bare([*wrapper, *argv, "sh", "-c", script])


@pytest.mark.parametrize("has_tmpdir", [True, False])
@pytest.mark.parametrize("command", [each for each in COMMANDS if "mktemp" in each or "cc a.c" in each])
def test_temporary_files_can_be_made_under_wrap(command: str, *, has_tmpdir: bool, runner: NonoRun) -> None:
    """Whether the caller has a TMPDIR, to which the command has no access, or none, as most have."""
    run = wrapped(runner, command, runner.project, () if has_tmpdir else ("env", "-u", "TMPDIR"))
    assert run.exit_code == 0, run.stderr


def test_a_wrapped_command_reads_no_temporary_file_of_another_project(runner: NonoRun) -> None:
    mine, other = (runner.make(runner.user.home / name) for name in ("mine", "other"))
    made = wrapped(runner, 'f=$(mktemp) && echo secret > "$f" && cat "$f" >&2 && echo "$f"', mine)
    assert (made.exit_code, made.stderr.splitlines()[-1]) == (0, "secret"), made.stderr
    path = made.stdout.strip()
    assert wrapped(runner, f"cat {path}", mine).stdout == "secret\n"
    refused = wrapped(runner, f"cat {path}", other)
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert "Permission denied" in refused.stderr


def test_a_wrapped_command_gains_nothing_by_a_link_in_place_of_its_temporary_directory(
    runner: NonoRun,
) -> None:
    project, outside = (runner.make(runner.user.home / name) for name in ("linking", "outside"))
    replaced = wrapped(runner, f'rm -rf "$TMPDIR" && ln -s {outside} "$TMPDIR"', project)
    assert replaced.exit_code == 0, replaced.stderr
    refused = wrapped(runner, 'echo x > "$TMPDIR/planted"', project)
    assert refused.exit_code != 0
    assert "Permission denied" in refused.stderr
    assert list(outside.iterdir()) == []


@pytest.mark.parametrize(
    ("program", "words", "flags", "is_said"),
    [
        ("firefox", ("--headless",), (), True),
        ("firefox-esr", (), (), True),
        ("firefox", ("--profile", "p"), (), False),
        ("firefox", ("-P", "own"), (), False),
        ("firefox", ("--version",), (), False),
        pytest.param(
            *("firefox", (), ("--allow={}",), True),  # a rule denies it all the same
            marks=pytest.mark.needs("mounts"),  # or the run is refused
        ),
        ("firefox", (), ("--allow={}", "--bypass-protection={}/firefox"), False),
        ("foxfire", (), (), False),
    ],
)
def test_firefox_is_named_the_option_without_which_it_waits_for_ever(
    runner: NonoRun, program: str, words: tuple[str, ...], flags: tuple[str, ...], is_said: bool
) -> None:
    """It is a script, because the real one takes seconds."""
    browser = runner.project / program
    browser.write_text("#!/bin/sh\n")
    browser.chmod(0o755)
    state = runner.user.home / ".mozilla"
    for directory in (state, state / "firefox"):
        directory.mkdir(exist_ok=True)
        runner.give(directory)
    granted = [each.format(state) for each in flags]
    run = runner.run([str(runner.give(browser)), *words], flags=granted, profile={})
    assert (run.exit_code, "--profile DIR" in run.stderr) == (0, is_said), run.stderr
