"""Programs of a profile's session_hooks: what they get, what they give, and which of them do not run."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import trustme

from support.nono_run import TIMEOUT_S, NonoRun
from support.running import fork_server
from support.sessions.records import leftovers, records

SHEBANG = "#!/usr/bin/env bash\n"


def hook(sandbox: NonoRun, name: str, script: str, directory: Path | None = None) -> str:
    """Return the path of a program of the user's, outside the grants unless a directory says otherwise."""
    path = (directory or sandbox.user.home) / name
    path.write_text(SHEBANG + script)
    path.chmod(0o755)
    os.chown(path, sandbox.user.uid, sandbox.user.gid)
    return str(path)


def hooked(**scripts: object) -> dict[str, Any]:
    return {"session_hooks": {name: {"script": script} for name, script in scripts.items()}}


def of_hooks(events: Any) -> list[dict[str, Any]]:
    return [event for event in events if event["type"] == "session_hook"]


def test_hooks_run_around_the_command(sandbox: NonoRun) -> None:
    before = hook(
        sandbox, "before",
        'echo "$NONO_HOOK_TYPE $NONO_SESSION_ID $NONO_WORKDIR $PWD $SECRET" > ~/said\n'
        'printf "ADDED=1\\nLD_PRELOAD=/x.so\\nHOME=/tmp\\n" > "$NONO_ENV_FILE"',
    )  # fmt: skip
    after = hook(sandbox, "after", 'echo "$NONO_HOOK_TYPE $NONO_EXIT_CODE ${NONO_ENV_FILE-none}" >> ~/said')
    run = sandbox.run(
        ["sh", "-c", 'echo "$ADDED ${LD_PRELOAD-none} $HOME"; exit 3'],
        profile=hooked(before=before, after=after), environment={"SECRET": "word"},
    )  # fmt: skip
    assert (run.exit_code, run.stdout) == (3, f"1 none {sandbox.user.home}\n")
    session_id = records(sandbox.user)[0]["session_id"]
    assert (sandbox.user.home / "said").read_text() == (
        f"before {session_id} {sandbox.project} {sandbox.project} \nafter 3 none\n"
    )
    assert "LD_PRELOAD is not passed on" in run.stderr
    assert "HOME is not passed on: a hook may not set it" in run.stderr
    assert f"    before  {before}, outside the sandbox\n    after   {after}, outside" in run.stderr
    assert [(each["hook"], each["exit_status"], each["variables"]) for each in of_hooks(run.events)] == [
        ("before", 0, ["ADDED"]),
        ("after", 0, []),
    ]
    assert session_id not in leftovers(sandbox.user)


def test_a_hook_sets_a_variable_that_the_caller_or_the_profile_has_too_and_none_of_a_flag(
    sandbox: NonoRun,
) -> None:
    written = "".join(f"{name}=hook\\n" for name in ("INHERITED", "FIXED", "FLAG"))
    profile = hooked(before=hook(sandbox, "before", f'printf "{written}" > "$NONO_ENV_FILE"'))
    profile["environment"] = {"set_vars": {"FIXED": "profile"}}
    run = sandbox.run(
        ["sh", "-c", 'echo "$INHERITED $FIXED $FLAG"'],
        profile=profile, environment={"INHERITED": "caller"}, flags=["--env=FLAG=flag"],
    )  # fmt: skip
    assert run.stdout == "hook hook flag\n"
    assert "FLAG is not passed on: --env FLAG decides" in run.stderr
    assert [each["variables"] for each in of_hooks(run.events)] == [["INHERITED", "FIXED"]]


def test_roots_that_a_hook_writes_are_trusted(sandbox: NonoRun) -> None:
    roots, renewed = sandbox.user.home / "roots.pem", sandbox.user.home / "renewed.pem"
    authorities = [trustme.CA(), trustme.CA()]
    for path, authority in zip((roots, renewed), authorities, strict=True):
        path.write_bytes(authority.cert_pem.bytes())
        os.chown(path, sandbox.user.uid, sandbox.user.gid)
    # The pause lets a process that does not wait for the hook read what was there before.
    profile = hooked(before=hook(sandbox, "before", f"sleep 0.3; cat {renewed} > {roots}"))
    profile["network"] = {
        "custom_credentials": {"x": {"upstream": "https://x.test", "credential_key": "env://K"}}
    }
    profile["network"]["credentials"] = ["x"]
    run = sandbox.run(
        ["sh", "-c", 'cat "$SSL_CERT_FILE"'],
        profile=profile, environment={"SSL_CERT_FILE": str(roots), "K": "key"},
    )  # fmt: skip
    assert run.exit_code == 0, run.stderr
    assert [each.cert_pem.bytes().decode().strip() in run.stdout for each in authorities] == [False, True]


def test_a_hook_finds_no_program_that_the_command_could_have_written(sandbox: NonoRun) -> None:
    granted = sandbox.user.home / "granted"
    granted.mkdir()
    sandbox.give(granted)
    for directory in (sandbox.project, granted):
        hook(sandbox, "bash", "touch ~/planted", directory)
    before = hook(sandbox, "before", 'echo "$PATH" > ~/said')
    path = f"{sandbox.project}:{granted}:/usr/bin:/bin"
    run = sandbox.run(
        ["true"], profile=hooked(before=before), environment={"PATH": path}, flags=[f"--allow={granted}"]
    )
    assert run.exit_code == 0, run.stderr
    kept = dict.fromkeys(map(os.path.realpath, ("/usr/bin", "/bin")))
    assert (sandbox.user.home / "said").read_text() == f"{':'.join(kept)}\n"
    assert not (sandbox.user.home / "planted").exists()


@pytest.mark.parametrize(
    ("change", "said"), [("true", None), ("chmod 777", "could be changed by somebody else")]
)
def test_a_hook_is_examined_again_before_it_runs(change: str, said: str | None, sandbox: NonoRun) -> None:
    after = hook(sandbox, "after", "touch ~/ran")
    before = hook(sandbox, "before", f"{change} {after}")
    run = sandbox.run(["true"], profile=hooked(before=before, after=after))
    assert run.exit_code == 0
    assert (sandbox.user.home / "ran").exists() == (said is None)
    event = of_hooks(run.events)[1]
    assert (event["hook"], event["exit_status"]) == ("after", None if said else 0)
    assert said is None or f"session_hooks.after: {after} {said}" in run.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="gives a file to a group of others")
@pytest.mark.parametrize("mode", [0o775, 0o755], ids="{:o}".format)
@pytest.mark.parametrize("part", ["script", "directory"])
def test_a_hook_that_a_group_of_others_could_change_refuses_the_run(
    part: str, mode: int, sandbox: NonoRun
) -> None:
    directory = sandbox.user.home / "hooks"
    directory.mkdir(mode=0o755)
    os.chown(directory, sandbox.user.uid, sandbox.user.gid)
    script = Path(hook(sandbox, "before", "touch ~/ran", directory))
    changed = script if part == "script" else directory
    os.chown(changed, sandbox.user.uid, sandbox.user.gid + 1)
    changed.chmod(mode)
    run = sandbox.run(["true"], profile=hooked(before=str(script)))
    assert (run.exit_code == 0) == (sandbox.user.home / "ran").exists() == (mode == 0o755)
    said = f"could be changed by somebody else: group {sandbox.user.gid + 1} can write to {changed}"
    assert (said in run.stderr) == (mode == 0o775)


def test_a_hook_is_started_where_a_link_to_it_led(sandbox: NonoRun) -> None:
    """The link may lead elsewhere once the file has been examined."""
    target = hook(sandbox, "target", 'echo "$0" > ~/said')
    link = sandbox.user.home / "link"
    link.symlink_to(target)
    assert sandbox.run(["true"], profile=hooked(before=str(link))).exit_code == 0
    assert (sandbox.user.home / "said").read_text() == f"{target}\n"


@pytest.mark.parametrize(
    ("change", "passed"),
    [
        pytest.param("true", "1", id="as it was"),
        pytest.param('mv "$NONO_ENV_FILE" ~/moved; ln -s ~/moved "$NONO_ENV_FILE"', "none", id="a link"),
        pytest.param('rm "$NONO_ENV_FILE"; mkfifo "$NONO_ENV_FILE"', "none", id="a FIFO"),
        pytest.param('head -c 1M /dev/zero >> "$NONO_ENV_FILE"', "none", id="too long"),
        pytest.param("kill $$", "none", id="perhaps half written"),
    ],
)
def test_variables_come_from_the_file_that_was_made_for_them(
    change: str, passed: str, sandbox: NonoRun
) -> None:
    before = hook(sandbox, "before", f'echo A=1 > "$NONO_ENV_FILE"; {change}')
    run = sandbox.run(["sh", "-c", "echo ${A-none}"], profile=hooked(before=before))
    assert (run.exit_code, run.stdout) == (0, f"{passed}\n")
    assert of_hooks(run.events)[0]["variables"] == (["A"] if passed == "1" else [])


def test_the_variables_of_a_hook_are_overwritten_when_they_have_been_read(sandbox: NonoRun) -> None:
    before = hook(sandbox, "before", 'echo A=canary > "$NONO_ENV_FILE"; ln "$NONO_ENV_FILE" ~/kept')
    run = sandbox.run(["sh", "-c", "echo $A"], profile=hooked(before=before))
    assert run.stdout == "canary\n"
    assert (sandbox.user.home / "kept").read_bytes() == bytes(len("A=canary\n"))


def test_what_a_failing_hook_says_is_said(sandbox: NonoRun) -> None:
    said = "echo no route to the VPN >&2; echo OPENAI_API_KEY=canary; printf '\\033[2J'"
    failing = hook(sandbox, "failing", f"{said}; exit 7")
    run = sandbox.run(["true"], profile=hooked(before=failing))
    assert run.exit_code == 0
    assert "failing failed with exit status 7:\n    no route to the VPN\n" in run.stderr
    assert "\x1b[2J" not in run.stderr
    (event,) = of_hooks(run.events)
    assert (event["exit_status"], event["output"].split("\n")[0]) == (7, "no route to the VPN")
    assert "canary" not in event["output"]  # though a person at the terminal sees it


def test_a_hook_that_the_command_could_write_refuses_the_run(sandbox: NonoRun) -> None:
    inside = hook(sandbox, "inside", "touch ~/ran", sandbox.project)
    run = sandbox.run(["true"], profile=hooked(after=inside))
    assert run.exit_code == 1
    assert "lies in" in run.stderr
    assert "the command may write" in run.stderr
    assert not (sandbox.user.home / "ran").exists()


def test_a_profile_that_the_command_could_write_has_no_hooks(sandbox: NonoRun) -> None:
    outside = hook(sandbox, "outside", "touch ~/ran")
    refused = sandbox.run(
        ["true"], profile=hooked(before=outside), flags=[f"--allow-file={sandbox.user.home}/profile.json"]
    )
    assert refused.exit_code == 1
    assert "the profile has session_hooks, and the command may write its own profile" in refused.stderr
    assert not (sandbox.user.home / "ran").exists()
    assert sandbox.run(["true"], profile=hooked(before=outside)).exit_code == 0
    assert (sandbox.user.home / "ran").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="gives a file to a group of others")
@pytest.mark.parametrize("has_hook", [True, False])
@pytest.mark.parametrize("mode", [0o664, 0o644], ids="{:o}".format)
def test_a_profile_that_others_could_change_is_told_and_has_no_hooks(
    mode: int, has_hook: bool, sandbox: NonoRun
) -> None:
    ran = sandbox.user.home / "ran"
    profile = hooked(before=hook(sandbox, "outside", "touch ~/ran")) if has_hook else {}
    file = sandbox.user.home / "own.json"
    file.write_text(json.dumps(profile))
    os.chown(file, sandbox.user.uid, sandbox.user.gid + 1)
    file.chmod(mode)
    run = sandbox.run(["true"], profile={}, flags=[f"--extends={file}"])
    told = f"somebody else could change the profile {file}"
    assert (told in run.stderr) == (mode == 0o664)
    assert run.exit_code == (mode == 0o664 and has_hook)
    assert ran.exists() == (mode == 0o644 and has_hook)


def test_a_signal_ends_the_hook_and_the_run(sandbox: NonoRun) -> None:
    waiting = hook(sandbox, "waiting", "echo up > ~/up; sleep 987")
    os.mkfifo(sandbox.user.home / "up")
    os.chown(sandbox.user.home / "up", sandbox.user.uid, sandbox.user.gid)
    argv = sandbox.argv(["touch", "ran"], profile=hooked(before=waiting))
    with fork_server.start(argv, env=sandbox.user.environment(), cwd=sandbox.project) as run:
        assert (sandbox.user.home / "up").read_text() == "up\n"
        run.send_signal(signal.SIGTERM)
        assert run.wait(TIMEOUT_S) == 143
    assert not (sandbox.project / "ran").exists()
    assert records(sandbox.user)[0]["end"]["cause"] == "not_started"
