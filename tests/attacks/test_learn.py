"""A hostile command that is watched gets no secret, and no grant that a person would not see."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.kernelsim.kernel import Kernel
from support.learning import Learner
from support.nono_run import NO_NAMESPACES, NonoRun, nono_run

TOOL = ".tool"  # of the user's home; the command may write there where a test says so


@pytest.fixture
def learner(sandbox: NonoRun) -> Iterator[Learner]:
    """Yield an account of its own: a learned profile changes what the next test begins with."""
    with nono_run(as_root=sandbox.user.uid == 0) as runner:
        yield Learner(runner)


def home(learner: Learner) -> Path:
    return learner.runner.user.home


def make(learner: Learner, path: str, text: str = "") -> Path:
    file = home(learner) / path
    for directory in [*reversed(file.parents)]:
        if not directory.exists():
            directory.mkdir(mode=0o700)
            learner.runner.give(directory)
    file.write_text(text)
    return learner.runner.give(file)


def at_home(learner: Learner) -> set[str]:
    """Return what the profile grants in the home directory."""
    lists = learner.profile.get("filesystem", {}).values()
    return {path for paths in lists for path in paths if path.startswith("~")}


def python(program: str) -> list[str]:
    return [sys.executable, "-I", "-S", "-B", "-c", program]


def test_names_cannot_forge_lines_of_the_diff_or_of_the_profile(learner: Learner) -> None:
    make(learner, f"{TOOL}/plain", "x")
    forged = 'x"],\n+    "allow": ["~"]\n  [nono] Nothing was refused.\x1b[2J\x1b[8m'
    program = f"""
import os
os.chdir(os.path.expanduser('~/{TOOL}'))
for name in ({forged!r}, 'dollar $HOME', 'star*', b'\\xff\\xfe', '\\u202etxt.exe'):
    with open(name, 'w') as file: file.write('x')
    with open(name) as file: file.read()
open('plain').read()
"""
    flag = f"--allow-file={home(learner)}/{TOOL}/plain"
    learned = learner.learn(python(program), flags=("--yes", f"--allow={home(learner)}/{TOOL}", flag))
    assert learned.exit_code == 0, learned.stderr
    assert not {"\x1b", "\u202e"} & set(learned.stderr)
    assert not any(
        line.startswith(('+    "allow": ["~"]', "  [nono] Nothing was"))
        for line in learned.stderr.splitlines()
    )
    assert learner.granted("allow") == {f"~/{TOOL}"}  # where it made names of its own


def test_a_file_replaced_by_a_link_after_it_was_seen_is_not_granted(learner: Learner) -> None:
    letter = make(learner, "Documents/letter", "canary")
    make(learner, f"{TOOL}/seen", "x")
    make(learner, f"{TOOL}/kept", "x")
    program = f"""
import os
os.chdir(os.path.expanduser('~/{TOOL}'))
open('seen').read(); open('kept').read()
os.remove('seen')
os.symlink({str(letter)!r}, 'seen')
"""
    learned = learner.learn(python(program), flags=("--yes", f"--allow={home(learner)}/{TOOL}"))
    assert learned.exit_code == 0, learned.stderr
    assert "Documents" not in learner.file.read_text()
    assert at_home(learner) == {f"~/{TOOL}"}  # where it has made a name of its own
    refused = learner.again(["cat", str(letter)])
    assert (refused.exit_code, refused.stdout) == (1, "")


def test_thousands_of_paths_are_one_line(learner: Learner) -> None:
    for number in range(1500):
        (make(learner, f"{TOOL}/d{number % 7}/first").parent / str(number)).touch()
    learned = learner.learn(["sh", "-c", f"find ~/{TOOL} -type f -exec cat {{}} +"])
    assert learned.exit_code == 0, learned.stderr
    assert learner.profile["filesystem"] == {"read": [f"~/{TOOL}"]}


def test_nonos_own_profiles_and_state_cannot_be_written(learner: Learner) -> None:
    config = home(learner) / ".config/nono/profiles"
    make(learner, ".config/nono/profiles/mine.json", "{}")
    program = f"""
import os
for path in ({str(config)!r} + '/mine.json', {str(config)!r} + '/learned.json',
             os.path.expanduser('~/.local/state/nono/x')):
    try:
        open(path, 'w').write('{{"filesystem": {{"allow": ["~/.ssh"]}}}}')
    except OSError as error:
        print(error.strerror)
"""
    learned = learner.learn(python(program))
    refused = learned.stdout.splitlines()
    assert len(refused) == 3
    # nono's state is read-only in a command's own namespaces, once there is some.
    assert set(refused) <= {"Permission denied", "Read-only file system"}
    assert (config / "mine.json").read_text() == "{}"
    assert at_home(learner) == set()


def test_a_learned_profile_is_not_written_over_something_planted(learner: Learner) -> None:
    target = learner.runner.project / "own.json"
    victim = make(learner, ".bashrc", "untouched")
    command = ["ln", "-s", str(victim), str(target)]
    learned = learner.learn(command, output=str(target))
    assert learned.exit_code == 1
    assert "nothing was written" in learned.stderr
    assert victim.read_text() == "untouched"

    target.unlink()
    target.write_text(json.dumps({"meta": {"name": "own"}}))
    learner.runner.give(target)
    command = ["sh", "-c", f"""echo '{{"filesystem": {{"allow": ["/srv"]}}}}' > {target}"""]
    learned = learner.learn(command, output=str(target))
    assert learned.exit_code == 1
    assert "has changed while the command ran" in learned.stderr


def test_keys_of_known_services_are_phantoms_or_not_there(learner: Learner) -> None:
    keys = {"GITHUB_TOKEN": "ghp_canary", "OPENAI_API_KEY": "sk-canary", "NPM_TOKEN": "npm_canary"}
    learned = learner.learn(["env"], environment=keys)
    assert learned.exit_code == 0, learned.stderr
    inside = dict(line.split("=", 1) for line in learned.stdout.splitlines() if "=" in line)
    assert inside["GITHUB_TOKEN"].startswith("ghp_")  # a phantom
    assert "canary" not in learned.stdout + learned.stderr
    assert {"OPENAI_API_KEY", "NPM_TOKEN"}.isdisjoint(inside)
    assert "credentials" not in learner.profile["network"]  # none was used


def test_a_secret_that_is_passed_on_is_said_before_it_starts(learner: Learner) -> None:
    flags = ("--yes", "--env=NPM_TOKEN")
    learned = learner.learn(["env"], flags=flags, environment={"NPM_TOKEN": "told"})
    assert "NPM_TOKEN=told" in learned.stdout
    assert "know   from its environment NPM_TOKEN" in learned.stderr


def test_this_machine_and_its_networks_are_out_of_reach(learner: Learner) -> None:
    program = """
import os, socket, urllib.request
os.environ.pop('no_proxy'), os.environ.pop('NO_PROXY')
proxy = urllib.request.build_opener(urllib.request.ProxyHandler({'http': os.environ['HTTP_PROXY']}))
for url in ('http://127.0.0.1:631/', 'http://169.254.169.254/latest', 'http://10.0.0.1/', 'http://localhost:22/'):
    try:
        proxy.open(url, timeout=10); print('reached', url)
    except Exception as error:
        print(getattr(error, 'code', error))
try:
    socket.create_connection(('127.0.0.1', 22), 5); print('connected')
except OSError as error:
    print(error.strerror)
"""
    learned = learner.learn([sys.executable, "-I", "-B", "-c", program])
    assert learned.stdout.splitlines() == ["403"] * 4 + ["Permission denied"]
    assert learner.endpoints == {}


def test_learning_without_a_listener_runs_nothing(learner: Learner) -> None:
    learned = learner.learn(["touch", "ran"], wrapper=Kernel(notify_busy=True).command([]))
    assert learned.exit_code == 1
    assert "nothing can be learned here" in learned.stderr
    assert not (learner.runner.project / "ran").exists()
    assert not learner.file.exists()


def test_nobody_is_watched_unasked(learner: Learner) -> None:
    refused = learner.learn(["touch", "ran"], flags=(), stdin="y\n")
    assert refused.exit_code == 1
    assert "--watch agrees" in refused.stderr
    assert not (learner.runner.project / "ran").exists()
    watched = learner.learn(["touch", "ran"], flags=("--watch",))
    assert watched.exit_code == 0, watched.stderr
    assert (learner.runner.project / "ran").exists()
    assert json.loads(watched.stdout)["workdir"] == {"access": "write"}
    assert not learner.file.exists()  # which only --yes or an answer writes


@pytest.mark.needs("namespaces")
def test_what_cannot_be_seen_is_counted(learner: Learner) -> None:
    """A program that may not be read hides its memory; it is let, and the profile said not to be complete."""
    if learner.runner.user.uid == 0:
        pytest.skip("root's supervisor looks into every process")
    hidden = learner.runner.project / "hidden"
    shutil.copy("/bin/cat", hidden)
    learner.runner.give(hidden).chmod(0o111)
    learned = learner.learn([str(hidden), "/etc/hostname"], flags=("--yes", NO_NAMESPACES))
    assert learned.exit_code == 0, learned.stderr
    assert "the profile may not be complete" in learned.stderr
    seen = learner.learn([str(hidden), "/etc/hostname"])
    assert "the profile may not be complete" not in seen.stderr


@pytest.mark.parametrize("workdir", ["..", "/"])
def test_the_home_directory_is_not_lent_as_the_working_directory(learner: Learner, workdir: str) -> None:
    refused = learner.learn(["touch", "ran"], flags=("--yes", f"--workdir={workdir}"))
    assert refused.exit_code == 1
    assert "--workdir DIR" in refused.stderr
    assert not (home(learner) / "ran").exists()


def test_a_temporary_directory_that_became_a_link_is_not_written_to(learner: Learner) -> None:
    kept = make(learner, "outside/kept").parent
    base = Path("/tmp", f"nono-tmpdir-{home(learner).name}")
    environment = {"TMPDIR": str(base / "link")}
    command = ["sh", "-c", 'echo planted >"$TMPDIR/new"; true']
    try:
        base.mkdir()
        learner.runner.give(base)
        (base / "link").symlink_to(kept)
        learned = learner.learn(command, environment=environment)
        assert not (kept / "new").exists()
        assert f"'{base}/link' is a link" in learned.stderr
        (base / "link").unlink()
        learner.runner.make(base / "link")
        learner.learn(command, environment=environment)
        assert (base / "link/new").exists()
    finally:
        shutil.rmtree(base)
