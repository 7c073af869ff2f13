"""What a command does with the private file of its login stays in its run; test_codex_login has the agent."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from support.agents.codex import OUTSIDE, CodexScene, codex_scene
from support.agents.subscriptions import CANARY
from support.nono_run import NONO, Ended
from support.proxy.thread import wait_until

STORE = ".local/state/nono/oauth-capture/providers.json"
INSIDE = (*NONO, "run", "--profile", "codex", "--allow-cwd", "--")
# As Codex does it: a new file beside the one to which the link leads, renamed into place.
LOG_IN = """
umask 077
file=$(readlink ~/.codex/auth.json) || exit 3
curl -sSf -H 'Content-Type: application/json' -d '{"grant_type":"authorization_code","code":"one"}' \
    https://auth.openai.com/oauth/token > "$file.new" && mv "$file.new" "$file"
"""
SHOW = "cat ~/.codex/auth.json"
ASK = """
curl -s -o /dev/null -w '%{http_code}\n' -X POST -d '{}' https://chatgpt.com/backend-api/wham/accounts/check \
    -H "Authorization: Bearer $(sed -n 's/.*"access_token": "\\([^"]*\\)".*/\\1/p' ~/.codex/auth.json)"
"""


@pytest.fixture
def scene() -> Iterator[CodexScene]:
    with codex_scene(is_installed=False) as made:
        yield made


def run(scene: CodexScene, script: str) -> Ended:
    ended = scene.stage.run("codex", ("sh", "-c", script))
    assert CANARY not in ended.stdout + ended.stderr + json.dumps(ended.events)
    return ended


def log_in(scene: CodexScene) -> Ended:
    made = run(scene, LOG_IN)
    assert made.exit_code == 0, made.stdout + made.stderr
    return made


@pytest.mark.needs("namespaces")
def test_a_login_made_inside_is_there_in_the_next_run(scene: CodexScene) -> None:
    assert run(scene, f"{SHOW} || echo none").stdout == "none\n"
    made = log_in(scene)
    assert "logged in to chatgpt as a@b.test" in made.stderr
    assert scene.stage.files_with(CANARY) == {STORE}
    assert not os.path.lexists(scene.stage.home / OUTSIDE)
    held = json.loads(run(scene, SHOW).stdout)
    assert held["auth_mode"] == "chatgpt"
    assert held["tokens"]["account_id"] == "account-1"
    assert sum("nono_" in str(each) for each in held["tokens"].values()) == 3
    assert run(scene, ASK).stdout == "200\n"


@pytest.mark.needs("namespaces", "network namespace")
def test_a_login_can_be_made_in_a_private_network_as_well(scene: CodexScene) -> None:
    for script, said in ((LOG_IN, ""), (ASK, "200\n")):
        argv = [*INSIDE[:-1], "--sandbox-policy", "netns", "--", "sh", "-c", script]
        ended = scene.stage.person(argv)
        assert (ended.returncode, ended.stdout) == (0, said), ended.stderr
    assert scene.stage.files_with(CANARY) == {STORE}


# What a command leaves in the file, in order that a later run uses it.
PLANT = {
    "a key": 'echo \'{"OPENAI_API_KEY": "sk-planted"}\' > $file',
    "a link": "ln -sf /etc/passwd $file",
    "a fifo": "rm -f $file; mkfifo $file",
    "a directory": "rm -f $file; mkdir -p $file/deep",
    "too much": "head -c 3000000 /dev/zero > $file",
    "nothing": "rm -f $file",
    "beside it": "cp $file ~/.codex/copy; ln -s copy ~/.codex/other",
    "in its place": "mv $file.x ~/.codex/auth.json; rm -f ~/.codex/auth.json; mv ~/.codex/nono ~/.codex/x",
}


@dataclass(frozen=True)
class LoggedIn:
    """A person with a login made inside. outside: the content of a login outside; None without one."""

    scene: CodexScene
    outside: str | None
    shown: str  # the file of the login, as each run finds it


@pytest.fixture(scope="module", params=[True, False], ids=["login outside", "no login outside"])
def logged_in(request: pytest.FixtureRequest) -> Iterator[LoggedIn]:
    """Nothing that a run leaves may change it, so the tests that look for that share it."""
    with codex_scene(is_installed=False) as scene:
        outside = scene.log_in_outside() if request.param else None
        log_in(scene)
        yield LoggedIn(scene, outside, run(scene, SHOW).stdout)


@pytest.mark.needs("namespaces")
@pytest.mark.parametrize("plant", PLANT)
def test_what_a_command_leaves_in_the_file_is_not_there_in_the_next_run(
    logged_in: LoggedIn, plant: str
) -> None:
    scene = logged_in.scene
    run(scene, f"file=$(readlink ~/.codex/auth.json); {PLANT[plant]}; true")
    assert run(scene, SHOW).stdout == logged_in.shown
    assert os.listdir(scene.stage.home / ".codex/nono") == []
    file = scene.stage.home / OUTSIDE
    assert (file.read_text() if os.path.lexists(file) else None) == logged_in.outside


@pytest.mark.needs("namespaces")
def test_two_runs_at_once_do_not_share_the_file(scene: CodexScene) -> None:
    log_in(scene)
    wait = "echo > ready; while [ ! -e go ]; do sleep 0.05; done;"
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(run, scene, f"{wait} {SHOW}")
        wait_until((scene.stage.project / "ready").exists)
        second = run(scene, f"echo planted > $(readlink ~/.codex/auth.json); {SHOW}; touch go")
        assert "nono_" in first.result().stdout
    assert second.stdout == "planted\n"
    assert not os.path.lexists(scene.stage.home / OUTSIDE)


@pytest.mark.needs("namespaces")
@pytest.mark.parametrize("has_login", [True, False], ids=["login outside", "no login outside"])
def test_a_login_that_is_made_outside_meanwhile_is_not_read(scene: CodexScene, has_login: bool) -> None:
    if has_login:
        scene.log_in_outside()
    log_in(scene)
    script = f"echo > ready; while [ ! -e go ]; do sleep 0.05; done; {SHOW}"
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(run, scene, script)
        wait_until((scene.stage.project / "ready").exists)
        new = scene.stage.home / ".codex/auth.json.new"
        new.write_text(f"{CANARY} outside")
        scene.stage.runner.give(new)
        new.rename(scene.stage.home / OUTSIDE)
        (scene.stage.project / "go").touch()
        assert "nono_" in running.result().stdout
    assert (scene.stage.home / OUTSIDE).read_text() == f"{CANARY} outside"


@pytest.mark.needs("namespaces")
def test_a_run_that_is_killed_leaves_no_login_and_no_obstacle(scene: CodexScene) -> None:
    script = f"{LOG_IN} echo > ready; sleep 60"
    with scene.stage.on_screen((*INSIDE, "sh", "-c", script)) as terminal:
        while not (scene.stage.project / "ready").exists():
            terminal.settle(0.1)
        record = json.loads(scene.stage.person([*NONO, "ps", "--json"]).stdout)
        supervisor = next(each["supervisor_pid"] for each in record)
        os.kill(supervisor, signal.SIGKILL)
        terminal.end()
    file = scene.stage.home / OUTSIDE
    assert os.path.lexists(file)
    assert not file.exists()
    assert run(scene, ASK).stdout == "200\n"  # the tokens were on disk
    assert not os.path.lexists(file)


@pytest.mark.needs("namespaces")
def test_a_login_that_is_forgotten_outside_is_of_no_use_inside(scene: CodexScene) -> None:
    log_in(scene)
    out = scene.stage.person([*NONO, "credential", "logout", "codex"])
    assert "has ended it." in out.stdout, out.stdout + out.stderr  # and Codex outside has none
    assert scene.chatgpt.tokens.refresh == set()
    assert run(scene, f"{SHOW} || echo none").stdout == "none\n"


def test_without_namespaces_a_login_is_refused_and_says_why(scene: CodexScene) -> None:
    argv = [*INSIDE[:-1], "--namespaces", "off", "--", "sh", "-c", LOG_IN.replace("|| exit 3", "")]
    ended: subprocess.CompletedProcess[str] = scene.stage.person(argv)
    assert ended.returncode != 0
    assert "has no namespaces" in " ".join(ended.stderr.split())
    assert "nono credential import codex" in " ".join(ended.stderr.split())
    assert scene.chatgpt.tokens.access == set()
    assert not os.path.lexists(scene.stage.home / OUTSIDE)
