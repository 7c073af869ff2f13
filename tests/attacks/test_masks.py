"""F3 to F5 and K19: what is denied below a granted directory is out of reach by every name and mount."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from nono.kernel import landlock, mounts
from nono.kernel.capabilities import DANGEROUS
from nono.sandbox import mask_keeper
from nono.supervisor.child import MASKS_LOST
from support.canary import Canary
from support.elevation import asked
from support.nono_run import NO_NAMESPACES, NONO, PROGRAM_GRANTS, TIMEOUT_S, Ended, NonoRun, program
from support.ports import unused_port
from support.running.needs import lacking

CANARY = "canary behind a mask"
DENY = ("$WORKDIR/.env", "$WORKDIR/link", "$WORKDIR/keys", "$WORKDIR/sub/deep/key", "$WORKDIR/.git/hooks")
PROFILE: dict[str, Any] = {"filesystem": {"deny": DENY}, "network": {"block": True}}
SECRETS = (".env", "keys/id", "sub/deep/key", "sub/deep/target", ".git/hooks/pre-commit")
# What changes nothing: copies of the tree keep the masks, and roots and directories are the command's own.
HARMLESS = {
    "nothing",
    "chroot",
    *(f"{what} {name}" for what in ("own", "root of a", "cwd of a") for name in ("root", "cwd", "child")),
    *(f"whole tree of {path}" for path in (".", ".git", "sub", "sub/deep")),
    # A masked file is empty.
    *(
        f"{how} {path}"
        for how in ("read", "reopen")
        for path in (".env", "link", "sub/deep/key", "sub/deep/target")
    ),
}
OPEN = ("mine", "sub/open", "sub/deep/open", ".git/config")


@pytest.fixture
def stage(sandbox: NonoRun) -> Iterator[Path]:
    """Yield the project, with denied paths in it."""
    project = sandbox.project
    for directory in (".git", ".git/hooks", "sub", "sub/deep", "keys", "other"):
        (project / directory).mkdir()
        sandbox.give(project / directory)
    for name in (*SECRETS, *OPEN):
        (project / name).write_text(CANARY if name in SECRETS else "open")
        sandbox.give(project / name)
    (project / "link").symlink_to("sub/deep/target")
    yield project
    for left in project.iterdir():
        shutil.rmtree(left) if left.is_dir() and not left.is_symlink() else left.unlink()


def identities(project: Path) -> dict[str, tuple[int, int]]:
    """Map the name of everything in the project to its inode and size."""
    found = ((path, path.lstat()) for path in project.rglob("*"))
    return {str(path.relative_to(project)): (status.st_ino, status.st_size) for path, status in found}


def masking(network: dict[str, object], deny: Sequence[str] = DENY) -> dict[str, Any]:
    return {"filesystem": {"deny": list(deny)}, "network": network}


def gaps(run: Ended) -> str:
    return "\n".join(event["what"] for event in run.events if event["type"] == "not_enforced")


@pytest.mark.needs("mounts")
def test_a_denied_file_cannot_be_read_and_its_sibling_can(sandbox: NonoRun, stage: Path) -> None:
    script = "cat .env; (echo x > .env); cat mine; echo new > made; cat made"
    run = sandbox.run(["sh", "-c", script], profile=PROFILE)
    assert run.stdout == "opennew\n"
    assert ".env: Read-only file system" in run.stderr
    masked = {event["path"]: event["origin"] for event in run.events if event["type"] == "masked"}
    names = (".env", "link", "keys", "sub/deep/key", "sub/deep/target", ".git/hooks")
    assert masked == {f"{stage}/{name}": "the profile, filesystem.deny" for name in names}
    assert sandbox.bare(["cat", ".env"]).stdout == CANARY


@pytest.mark.needs("mounts")
@pytest.mark.parametrize(("field", "is_started"), [("deny_if_present", True), ("deny", False)])
def test_only_a_denial_of_what_may_be_absent_starts_without_it(
    field: str, is_started: bool, sandbox: NonoRun, stage: Path
) -> None:
    profile = {"filesystem": {field: ["$WORKDIR/.env", "$WORKDIR/.env.local"]}, "network": {"block": True}}
    run = sandbox.run(["sh", "-c", "cat .env mine"], profile=profile)
    assert (run.stdout, run.exit_code) == (("open", 0) if is_started else ("", 1)), run.stderr
    masked = [event["path"] for event in run.events if event["type"] == "masked"]
    assert masked == ([f"{stage}/.env"] if is_started else [])
    assert (".env.local" in run.stderr) == (not is_started)


@pytest.mark.needs("mounts")
def test_git_adds_all_beside_a_masked_file(sandbox: NonoRun, stage: Path) -> None:
    """git stops at what is no regular file, and at what it cannot read."""
    shutil.rmtree(stage / ".git")
    run = sandbox.run(
        ["sh", "-c", "git init -q . && git add -A && git show :.env"], profile=masking({}, [".env"])
    )
    assert (run.exit_code, run.stdout) == (0, ""), run.stderr


@pytest.mark.needs("mounts")
def test_neither_name_nor_mount_leads_to_what_is_denied(sandbox: NonoRun, stage: Path) -> None:
    before = identities(stage)
    attempts = sandbox.run(program("files.masks", CANARY), profile=PROFILE).outcomes()
    assert {name: tried["leaks"] for name, tried in attempts.items() if tried["leaks"]} == {}
    done = {name for name, tried in attempts.items() if tried["attempt"] == "ok"}
    assert done <= HARMLESS | {f"{name}, nested" for name in HARMLESS}
    assert identities(stage) == before


def test_each_of_them_leads_there_without_nono(sandbox: NonoRun, stage: Path) -> None:
    reading = [f"read {name}" for name in ("link", *SECRETS) if name != "sub/deep/target"]
    nested = [f"{what} of {path}, nested" for what in ("tree", "whole tree") for path in (".", ".git")]
    names = ["nothing", "own root", *reading, *nested, "bind ., nested", "handle of ., nested"]
    attempts = sandbox.bare(program("files.masks", CANARY, *names)).outcomes()
    assert {name for name, tried in attempts.items() if not tried["leaks"]} == set()
    writing = [f"append to {name}" for name in SECRETS if name != "sub/deep/target"]
    writing += ["create in keys", "mode of .env", "link .env", "move sub/deep/key", "exchange keys"]
    for name, tried in sandbox.bare(program("files.masks", CANARY, *writing)).outcomes().items():
        assert tried["attempt"] == "ok", name


SIBLINGS = """
set -e
for directory in . sub sub/deep .git other; do
  echo new > $directory/made; cat $directory/made
  mv $directory/made $directory/moved; ln $directory/moved $directory/second
  mkdir $directory/child; mv $directory/child $directory/renamed; rmdir $directory/renamed
  rm $directory/moved $directory/second
done
mv other another; mv sub/open sub/opened; mv another other
"""


@pytest.mark.needs("mounts")
def test_whatever_is_beside_a_denied_path_is_free(sandbox: NonoRun, stage: Path) -> None:
    run = sandbox.run(["sh", "-c", SIBLINGS], profile=PROFILE)
    assert (run.exit_code, run.stdout) == (0, "new\n" * 5), run.stderr
    assert (stage / "sub/opened").read_text() == "open"


@pytest.mark.needs("mounts")
def test_denials_below_a_read_only_grant_are_masked(sandbox: NonoRun, stage: Path) -> None:
    profile = masking({"block": True}, [f"{stage}/.env"])
    flags = [*PROGRAM_GRANTS, f"--read={stage}"]
    argv = [*NONO, "run", f"--profile={sandbox.write_profile(profile)}", *flags, "--", "cat", ".env", "mine"]
    run = sandbox.bare(argv)
    assert (run.exit_code, run.stdout) == (0, "open"), run.stderr


@pytest.mark.needs("mounts")
@pytest.mark.parametrize("policy", [pytest.param("auto", marks=pytest.mark.needs("listener")), "netns"])
def test_only_the_proxy_is_reached_past_masks(policy: str, sandbox: NonoRun, stage: Path) -> None:
    """The supervisor looks into a process that is in a user namespace of its own, and may be in two."""
    with Canary() as canary:
        stranger, port = canary.tcp("stranger", "127.0.0.2"), unused_port()
        asked = json.dumps([["tcp", "127.0.0.1", port], ["tcp", "127.0.0.2", stranger]])
        script = ["sh", "-c", 'cat .env >&2; exec "$@"', "sh", *program("sockets.addresses", asked)]
        flags = [f"--sandbox-policy={policy}", f"--proxy-port={port}"]
        run = sandbox.run(script, profile=masking({"allow_domain": []}), flags=flags)
        assert canary.seen() == {}
    outcomes = run.outcomes()
    assert outcomes["tcp 127.0.0.1"] == "ok"
    assert outcomes["tcp 127.0.0.2"] in ("EACCES", "ECONNREFUSED")
    assert CANARY not in run.stderr
    if policy == "auto":
        assert ("127.0.0.2", stranger) in run.denied_targets()


@pytest.mark.root
@pytest.mark.needs("network namespace", "mounts", "user namespaces")
@pytest.mark.parametrize("sandbox", ["root"], indirect=True)
def test_root_masks_where_its_network_takes_a_user_namespace(sandbox: NonoRun, stage: Path) -> None:
    """As in a container: user_namespaces(7) takes CAP_SETFCAP to map root's id once more."""
    script = ["sh", "-c", "grep ^Cap /proc/self/status; cat .env mine"]
    run = sandbox.run(
        script,
        profile=masking({"allow_domain": []}),
        flags=["--sandbox-policy=netns", NO_NAMESPACES],
        wrapper=["setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin"],
    )
    assert run.exit_code == 0, run.stderr
    *sets, last = run.stdout.splitlines()
    assert last == "open"
    assert [line.split()[1] for line in sets] == ["0" * 16] * 5


@pytest.mark.needs("mounts")
def test_no_capability_is_left_that_came_with_the_namespace(sandbox: NonoRun, stage: Path) -> None:
    sets = sandbox.run(program("processes.namespaces", 9), profile=PROFILE).outcomes()["capabilities"]
    forbidden = sum(1 << number for number in DANGEROUS) if sandbox.user.uid == 0 else ~0
    assert {name: int(held, 16) & forbidden for name, held in sets.items()} == dict.fromkeys(sets, 0)


@pytest.mark.needs("mounts")
def test_the_supervisor_of_a_run_with_masks_cannot_be_read_or_traced(sandbox: NonoRun, stage: Path) -> None:
    outcomes = sandbox.run(program("processes.spy"), profile=PROFILE, flags=[NO_NAMESPACES]).outcomes()
    calls = ("process_vm_readv", "process_vm_writev", "pidfd_getfd", "PTRACE_SEIZE", "PTRACE_ATTACH")
    assert {name: outcomes[name] for name in calls} == dict.fromkeys(calls, "EPERM")
    files = ("environ", "fd/0", "mem")
    assert {name: outcomes[name] for name in files} == dict.fromkeys(files, "EACCES")


@pytest.mark.parametrize("stream", [0, 1, 2])
def test_a_directory_on_a_standard_stream_never_leads_past_masks(
    stream: int, sandbox: NonoRun, stage: Path
) -> None:
    argv = sandbox.argv(["cat", f"/proc/self/fd/{stream}/.env"], profile=PROFILE)
    run = sandbox.bare(["sh", "-c", f'exec "$@" {stream}< .', "sh", *argv])
    assert run.exit_code == 1
    assert CANARY not in run.stdout
    assert "irectory" in run.stderr or stream == 2


@pytest.mark.needs("mounts")
def test_a_file_on_a_standard_stream_is_opened_anew_for_what_it_was_opened_for(
    sandbox: NonoRun, stage: Path
) -> None:
    """/dev/stdin leads to a file that was opened outside, where nothing leads to the command's root."""
    anew = "cat /dev/stdin; echo again >> /dev/stderr; (echo no > /dev/stdin)"
    argv = sandbox.argv(["sh", "-c", anew], profile=PROFILE, flags=["--silent"])
    run = sandbox.bare(["sh", "-c", 'exec "$@" < mine 2>> sub/open', "sh", *argv])
    assert run.stdout == "open"
    assert (stage / "mine").read_text() == "open"
    assert "again\n" in (stage / "sub/open").read_text()


@pytest.mark.needs("mounts", "user namespaces")
def test_a_user_namespace_can_be_made_beside_masks(sandbox: NonoRun, stage: Path) -> None:
    """Browsers make one for what they show."""
    run = sandbox.run(["unshare", "--user", "true"], profile=PROFILE)
    assert run.exit_code == 0, run.stderr


TAKE_HANDED = """
import array, os, socket, sys
client = socket.socket(socket.AF_UNIX)
client.connect(sys.argv[1])
_, ((_, _, rights),), *_ = client.recvmsg(1, socket.CMSG_SPACE(4))
print(os.read(os.open(".env", os.O_RDONLY, dir_fd=array.array("i", rights)[0]), 99).decode(), end="")
"""


@contextmanager
def handing(place: Path, socket_path: Path, *, as_mount: bool = False) -> Iterator[None]:
    """Yield a process outside that hands a directory, opened without read permission, to each client.

    as_mount: It is the top of a mount of its own, which is attached nowhere.
    """
    directory = os.open(place, os.O_PATH | os.O_DIRECTORY)
    if as_mount:
        opened, directory = directory, mounts.copy(directory)
        os.close(opened)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(socket_path))
        socket_path.chmod(0o777)
        listener.listen()

        def serve() -> None:
            with suppress(OSError):  # closed
                while True:
                    connection, _ = listener.accept()
                    with connection:
                        socket.send_fds(connection, [b"!"], [directory])

        server = threading.Thread(target=serve)
        server.start()
        try:
            yield
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            server.join()
            os.close(directory)


@pytest.mark.needs("mounts", "listener")
@pytest.mark.parametrize("is_granted", [False, True])
def test_a_directory_handed_in_over_a_socket_leads_past_no_masks(
    is_granted: bool, sandbox: NonoRun, stage: Path
) -> None:
    path = stage / "service"
    profile = masking({"allow_domain": ["granted.test"]}, [".env"])
    flags = [f"--allow-unix-socket={path}"] if is_granted else []
    with handing(stage, path):
        run = sandbox.run([sys.executable, "-c", TAKE_HANDED, str(path)], profile=profile, flags=flags)
    assert run.stdout == ""
    assert ("Permission denied: '.env'" in run.stderr) is is_granted
    refused = {target for target, _ in run.denied_targets()}
    assert (f"unix:{path}" in refused) is not is_granted


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a mount outside")
@pytest.mark.needs("mounts", "listener")
@pytest.mark.parametrize("masked", [[".env"], []])
def test_a_mount_that_is_attached_nowhere_leads_past_no_masks(
    masked: list[str], sandbox: NonoRun, stage: Path
) -> None:
    """Without masks it is a directory like any other of the grants."""
    path = stage / "service"
    profile = masking({"allow_domain": ["granted.test"]}, masked)
    with handing(stage, path, as_mount=True):
        command = [sys.executable, "-c", TAKE_HANDED, str(path)]
        run = sandbox.run(command, profile=profile, flags=[f"--allow-unix-socket={path}"])
    assert run.stdout == ("" if masked else CANARY)
    assert ("Permission denied: '.env'" in run.stderr) is bool(masked)


@pytest.mark.needs("mounts")
def test_nothing_is_mounted_outside_while_the_command_runs(sandbox: NonoRun, stage: Path) -> None:
    with open("/proc/self/mountinfo", encoding="ascii") as mounted:
        before = mounted.read()
    file = sandbox.write_profile(PROFILE)
    argv = [*NONO, "run", f"--profile={file}", f"--allow={stage}", "--", "sh", "-c", "cat .env; echo; read x"]
    with sandbox.started(argv, sandboxed=False) as nono:
        assert nono.stdout is not None
        assert nono.stdout.readline() == "\n"
        with open("/proc/self/mountinfo", encoding="ascii") as mounted:
            assert mounted.read() == before
        assert (stage / ".env").read_text() == CANARY
        nono.communicate("\n")


@pytest.mark.needs("mounts")
@pytest.mark.parametrize("flags", [(), ("--silent",)], ids=["usual", "silent"])
def test_a_masked_file_with_hard_links_is_reported(
    sandbox: NonoRun, stage: Path, flags: tuple[str, ...]
) -> None:
    """F4. Which names an inode has is not to be found out."""
    (stage / "other/name").hardlink_to(stage / ".env")
    run = sandbox.run(["cat", ".env", "other/name"], profile=PROFILE, flags=flags)
    assert run.stdout == CANARY  # once, by the other name
    assert f"'{stage}/.env' is denied and has 2 names (hard links)" in " ".join(run.stderr.split())
    assert f"'{stage}/.env' is denied and has 2 names" in gaps(run)
    (stage / "other/name").unlink()
    assert "names (hard links)" not in sandbox.run(["true"], profile=PROFILE, flags=flags).stderr


@pytest.mark.needs("mounts")
def test_a_run_is_refused_while_its_command_could_create_a_denied_path(sandbox: NonoRun, stage: Path) -> None:
    profile = masking({"block": True}, ["$WORKDIR/new/.env"])
    refused = sandbox.run(["true"], profile=profile)
    assert refused.exit_code != 0
    said = " ".join(refused.stderr.split())
    assert f"'{stage}/new/.env' (the profile, filesystem.deny) in '{stage}'" in said
    remedy = f"mkdir -p {stage}/new && touch {stage}/new/.env"
    assert remedy in said
    assert sandbox.bare(["sh", "-c", remedy]).exit_code == 0
    held = sandbox.run(["sh", "-c", "(echo x > new/.env); mv new newer"], profile=profile)
    assert "new/.env: Read-only file system" in held.stderr
    assert "cannot move 'new'" in held.stderr


def test_a_denied_path_that_only_others_could_create_is_told(sandbox: NonoRun, stage: Path) -> None:
    flags = [f"--read={stage}", *PROGRAM_GRANTS]
    file = sandbox.write_profile(masking({"block": True}, ["$WORKDIR/new"]))
    said = sandbox.bare([*NONO, "run", f"--profile={file}", *flags, "-v", "--", "sh", "-c", "echo x > new"])
    assert f"not enforced: denied, but not there: {stage}/new." in " ".join(said.stderr.split())
    assert not (stage / "new").exists()


@pytest.mark.needs("mounts")
def test_group_denials_are_masked_below_a_granted_parent(sandbox: NonoRun, stage: Path) -> None:
    config = sandbox.user.home / ".config"
    for directory in (config, config / "gcloud", config / "nono"):
        directory.mkdir(exist_ok=True)
        sandbox.give(directory)
    (config / "gcloud/key").write_text(CANARY)
    run = sandbox.run(
        ["cat", f"{config}/gcloud/key"], profile=masking({"block": True}, []), flags=[f"--allow={config}"]
    )
    assert run.stdout == ""
    assert run.exit_code == 1
    said = " ".join(run.stderr.split())
    assert f"deny {config}/gcloud (dir)" in said
    assert f"{config}/BraveSoftware" in said.partition("could create it: ")[2]
    assert "could create it" in gaps(run)


@pytest.mark.needs("mounts")
def test_a_symlinked_ssh_directory_is_masked_at_its_target(sandbox: NonoRun, stage: Path) -> None:
    """The name itself is in the home, of which nothing is granted."""
    link = sandbox.user.home / ".ssh"
    link.symlink_to(stage / "keys")
    try:
        profile = masking({"block": True}, [])
        run = sandbox.run(["sh", "-c", f"cat keys/id; ls keys; cat {link}/id; cat mine"], profile=profile)
    finally:
        link.unlink()
    assert run.stdout == "open"
    assert f"deny {stage}/keys (dir)" in run.stderr


@pytest.mark.needs("mounts")
def test_why_and_dry_run_name_the_mask(sandbox: NonoRun, stage: Path) -> None:
    file = sandbox.write_profile(PROFILE)
    options = [f"--profile={file}", f"--allow={stage}"]
    why = [*NONO, "why", *options, "--json", "--path"]
    for name, path in ((".env", ".env"), ("keys", "keys/id"), ("link", "link")):
        answer = sandbox.bare([*why, path]).outcomes()
        assert answer["status"] == "denied"
        assert answer["enforced_by"].startswith(f"mask: {stage}/{name} is masked by a mount")
    assert "enforced_by" not in sandbox.bare([*why, "mine"]).outcomes()
    told = sandbox.bare([*NONO, "run", *options, "--dry-run", "--", "true"]).stderr
    assert (
        f"deny {stage}/.env (file), masked by a mount that is empty and cannot be written or removed" in told
    )


@pytest.mark.needs("mounts", "namespace sysctls")
@pytest.mark.parametrize("limit", ["mnt", "user"])
def test_a_run_without_a_mount_namespace_is_refused_with_advice(
    limit: str, sandbox: NonoRun, stage: Path
) -> None:
    inside = f"echo 0 > /proc/sys/user/max_{limit}_namespaces; exec setpriv --bounding-set=-all "
    inside += '--inh-caps=-all "$@"' if limit == "user" else '"$@"'
    wrapper = ["unshare", "--user", "--map-root-user", "sh", "-c", inside, "sh"]
    run = sandbox.run(["cat", ".env"], profile=PROFILE, wrapper=wrapper)
    said = " ".join(run.stderr.split())
    assert run.stdout == ""
    assert run.exit_code == 1
    assert "Landlock deny-overlap is not enforceable on Linux" in said
    assert f"deny '{stage}/.env' overlaps allowed parent '{stage}' (source: user)" in said
    assert f"user.max_{limit}_namespaces is 0" in said
    assert f"sudo sysctl -w user.max_{limit}_namespaces=1000" in said


@pytest.mark.needs("mounts")
def test_a_wrapped_command_is_held_as_well(sandbox: NonoRun, stage: Path) -> None:
    file = sandbox.write_profile(PROFILE)
    argv = [*NONO, "wrap", f"--profile={file}", f"--allow={stage}", "--", "cat", ".env", "mine"]
    run = sandbox.bare(argv)
    assert (run.exit_code, run.stdout) == (0, "open"), run.stderr


@pytest.mark.needs("mounts")
def test_the_command_ends_with_a_supervisor_that_is_killed(sandbox: NonoRun, stage: Path) -> None:
    """K18: a user namespace of its own must not lose it its parent's death signal."""
    file = sandbox.write_profile(PROFILE)
    argv = [*NONO, "run", f"--profile={file}", f"--allow={stage}", "--", "sh", "-c", "cat .env; echo; read x"]
    with sandbox.started(argv, sandboxed=False) as nono:
        assert nono.stdout is not None
        assert nono.stdout.readline() == "\n"
        nono.kill()
        assert nono.stdout.read() == ""  # which the command held open, waiting for a line


@pytest.mark.needs("listener", "mounts")
def test_elevation_grants_files_but_never_a_masked_path(sandbox: NonoRun, stage: Path) -> None:
    """Elevation opens for the command what it sees itself, in its own mounts."""
    outside = sandbox.user.home / "outside"
    outside.write_text("approved")
    sandbox.give(outside)
    command = ["sh", "-c", f"cat .env keys/id; cat {outside}"]
    with asked(sandbox, command, profile={"filesystem": {"deny": list(DENY)}}) as run:
        run.answer(b"y\n")
        assert run.end() == 0
    assert b"approved" in run.person.shown
    assert CANARY.encode() not in run.person.shown
    assert [entry["request"]["path"] for entry in run.entries if entry["decision"] == "Granted"] == [
        str(outside)
    ]
    refused = {entry["request"]["path"] for entry in run.entries if "Denied" in entry["decision"]}
    assert f"{stage}/.env" in refused


def renamed_over(stage: Path) -> str:
    (stage / "saved").write_text(CANARY)
    (stage / "saved").rename(stage / ".env")
    return ".env"


def removed_and_made(stage: Path) -> str:
    (stage / ".env").unlink()
    (stage / ".env").write_text(CANARY)
    return ".env"


def moved_away_and_made(stage: Path) -> str:
    (stage / ".env").rename(stage / ".env~")
    (stage / ".env").write_text(CANARY)
    return ".env"


def exchanged_with_a_link(stage: Path) -> str:
    (stage / "saved").symlink_to("mine")
    (stage / "saved").rename(stage / ".env")
    return ".env"


def directory_made_anew(stage: Path) -> str:
    shutil.rmtree(stage / "keys")
    (stage / "keys").mkdir()
    (stage / "keys/id").write_text(CANARY)
    return "keys"


def directory_above_made_anew(stage: Path) -> str:
    (stage / "sub").rename(stage / "old")
    (stage / "sub/deep").mkdir(parents=True)
    (stage / "sub/deep/key").write_text(CANARY)
    return "sub/deep/key"


REPLACED = (
    renamed_over,
    removed_and_made,
    moved_away_and_made,
    exchanged_with_a_link,
    directory_made_anew,
    directory_above_made_anew,
)


def asking(nono: subprocess.Popen[str]) -> Callable[[str], object]:
    """Return what asks a mask_waits once that is ready."""
    stdin, stdout = nono.stdin, nono.stdout
    assert stdin is not None
    assert stdout is not None
    assert stdout.readline() == '"ready"\n', nono.communicate()

    def ask(line: str) -> object:
        stdin.write(f"{line}\n")
        stdin.flush()
        return json.loads(stdout.readline())

    return ask


@contextmanager
def waiting(sandbox: NonoRun, verb: str, *flags: str) -> Iterator[Callable[[str], object]]:
    """Yield a run, or a wrapped command, that reports for each path it is given whether it is masked soon."""
    file = sandbox.write_profile(PROFILE)
    grants = [f"--allow={sandbox.project}", *PROGRAM_GRANTS, *flags]
    argv = [*NONO, verb, f"--profile={file}", *grants, "--", *program("files.mask_waits")]
    with sandbox.started(argv, sandboxed=False) as nono:
        yield asking(nono)
        ended = nono.communicate()
        assert nono.returncode == 0, ended


MASKED = {"masked": True, "removal": "EBUSY"}


@pytest.mark.needs("mounts")
@pytest.mark.parametrize("verb", ["run", "wrap"])
def test_what_takes_the_place_of_a_denied_path_is_masked_as_well(
    verb: str, sandbox: NonoRun, stage: Path
) -> None:
    """By whoever is outside: the kernel takes a mount away with the file that it was on."""
    before, exposed = set(sandbox.logs()), set()
    with waiting(sandbox, verb) as ask:
        for replace in (*REPLACED, *REPLACED[:2]):
            path = replace(stage)
            for directory in (stage / path).parents:
                if directory.is_relative_to(stage):
                    sandbox.give(directory)  # so that nothing but the mount keeps it from being removed
            assert ask(path) == MASKED, replace
            exposed.add(str(stage / path))
    events = sandbox.events_since(before) if verb == "run" else ()
    whats = "\n".join(event["what"] for event in events if event["type"] == "not_enforced")
    assert all(f"{UNCOVERED}: {path}." in whats for path in exposed) or verb == "wrap"


UNCOVERED = (
    "denied, but open for a moment while the command ran, because it was replaced or its file system failed"
)
# bindfs serves the first directory at the second, to a command in mount namespaces of its own.
SERVE = """
bindfs -f -o allow_other,nonempty "$1" "$2" </dev/null & server=$!
until mountpoint -q "$2"; do kill -0 $server || exit 99; done
cd "$2"; shift 2
"$@"; code=$?
kill $server; wait $server; exit $code
"""


@pytest.mark.root
@pytest.mark.needs("FUSE", suite=True)
@pytest.mark.needs("mounts")
def test_what_a_server_of_files_drops_is_masked_again_and_told(sandbox: NonoRun, stage: Path) -> None:
    """FUSE drops a mask when a look-up fails at its server, as it does while the file is away there."""
    served = sandbox.make(sandbox.user.home / "served")
    for name in (".env", "mine"):
        shutil.copy(stage / name, served / name)
    file = sandbox.write_profile({"filesystem": {"deny": ["$WORKDIR/.env"]}, "network": {"block": True}})
    options = [f"--profile={file}", f"--allow={stage}", *PROGRAM_GRANTS]
    run = sandbox.user.command([*NONO, "run", *options, "--", *program("files.mask_waits")])
    before = set(sandbox.logs())
    serve = ["unshare", "--mount", "sh", "-c", SERVE, "sh", str(served), str(stage)]
    with sandbox.begun([*serve, *run], stdin=subprocess.PIPE) as nono:
        ask = asking(nono)
        assert ask(".env") == MASKED
        (served / ".env").rename(served / "away")
        assert ask("gone .env") == "gone"
        (served / "away").rename(served / ".env")
        assert ask(".env") == MASKED
        _, said = nono.communicate()
    assert nono.returncode == 0, said
    whats = [event["what"] for event in sandbox.events_since(before) if event["type"] == "not_enforced"]
    assert [what for what in whats if what.startswith(f"{UNCOVERED}: {stage}/.env.")] != []
    assert f"{UNCOVERED}: {stage}/.env." in " ".join(said.split())
    shutil.rmtree(served)


@pytest.mark.needs("mounts")
def test_a_denied_path_that_appears_during_the_run_is_masked(sandbox: NonoRun, stage: Path) -> None:
    config = sandbox.user.home / ".config"
    for directory in (config, config / "nono"):  # nono's own is denied as well, and not to be made only now
        directory.mkdir(exist_ok=True)
        sandbox.give(directory)
    shutil.rmtree(config / "chromium", ignore_errors=True)
    with waiting(sandbox, "run", f"--allow={config}") as ask:
        assert ask(f"mkdir {config}/chromium") == MASKED
    shutil.rmtree(config / "chromium")


@pytest.mark.needs("mounts")
def test_models_in_a_granted_cache_are_read_and_the_token_beside_them_is_not(sandbox: NonoRun) -> None:
    cache = sandbox.user.home / ".cache/huggingface"
    (cache / "hub").mkdir(parents=True)
    for name in ("token", "hub/model"):
        (cache / name).write_text(f"{name} of ours")
    for path in (cache.parent, cache, cache / "hub", cache / "token", cache / "hub/model"):
        sandbox.give(path)
    run = sandbox.run(["sh", "-c", f"cd {cache} && cat hub/model token"], flags=[f"--allow={cache}"])
    assert (run.exit_code, run.stdout) == (0, "hub/model of ours"), run.stderr
    named = sandbox.run(["cat", f"{cache}/token"], flags=[f"--read-file={cache}/token"])
    assert (named.exit_code, "--bypass-protection" in named.stderr) == (1, True)
    shutil.rmtree(cache)


@pytest.mark.needs("mounts")
def test_the_mask_keeper_lives_out_of_reach_exactly_as_long_as_the_command(
    sandbox: NonoRun, stage: Path
) -> None:
    file = sandbox.write_profile(PROFILE)
    options = [f"--profile={file}", f"--allow={stage}", NO_NAMESPACES, *PROGRAM_GRANTS]
    argv = [*NONO, "run", *options, "--", *program("files.mask_waits")]
    with sandbox.started(argv, sandboxed=False) as nono:
        assert nono.stdin is not None
        assert nono.stdout is not None
        assert json.loads(nono.stdout.readline()) == "ready"
        children = Path(f"/proc/{nono.pid}/task/{nono.pid}/children").read_text().split()
        assert len(children) == 2
        for child in children:
            assert Path(f"/proc/{child}/task/{child}/children").read_text() == ""
        keeper = next(child for child in children if os.getsid(int(child)) == int(child))
        if landlock.abi_version() >= 6:
            nono.stdin.write(f"kill {keeper}\n")
            nono.stdin.flush()
            assert json.loads(nono.stdout.readline()) == "EPERM"
        nono.communicate()
        assert nono.returncode == 0
        assert not Path(f"/proc/{keeper}").exists()


def below(pid: int) -> Iterator[int]:
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        yield int(child)
        yield from below(int(child))


@pytest.mark.needs("mounts")
@pytest.mark.parametrize("namespaces", ["auto", "off"])
@pytest.mark.parametrize(
    "network",
    [("--block-net",), ("--allow-domain=h.invalid",), ("--allow-domain=h.invalid", "--sandbox-policy=netns")],
    ids=["blocked", "proxy", "netns"],
)
def test_a_command_ends_with_what_keeps_its_masks(
    network: tuple[str, ...], namespaces: str, sandbox: NonoRun, stage: Path
) -> None:
    """It may be killed where a group of processes outside has no memory left."""
    file = sandbox.write_profile({"filesystem": {"deny": DENY}})
    options = [f"--profile={file}", f"--allow={stage}", f"--namespaces={namespaces}", *PROGRAM_GRANTS]
    options += ["--silent", *network]
    argv = [*NONO, "run", *options, "--", *program("files.mask_waits")]
    before = set(sandbox.logs())
    with sandbox.started(argv, sandboxed=False) as nono:
        assert nono.stdout is not None
        assert json.loads(nono.stdout.readline()) == "ready"
        keeper = next(pid for pid in below(nono.pid) if is_keeper(pid))
        os.kill(keeper, signal.SIGKILL)
        nono.wait(TIMEOUT_S)  # before its input is closed, which would end the command
        _, said = nono.communicate()
        assert (nono.returncode, said.count("what keeps denied paths hidden was killed")) == (137, 1), said
    events = sandbox.events_since(before)
    assert [each["what"] for each in events if each["type"] == "not_enforced"][-1] == MASKS_LOST
    (end,) = (each["end"] for each in events if each["type"] == "session_ended")
    assert (end["cause"], end["by"], end["detail"]) == ("failed", "nono", MASKS_LOST)


def is_keeper(pid: int) -> bool:
    """Check that a process leads a session and ignores SIGTERM, as process 1 of namespaces does not."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    ignored = next(int(line.split()[1], 16) for line in lines if line.startswith("SigIgn"))
    return os.getsid(pid) == pid and bool(ignored >> signal.SIGTERM - 1 & 1)


@pytest.mark.needs("mounts")
def test_the_mask_keeper_heeds_no_terminal_and_holds_nothing_open(sandbox: NonoRun, stage: Path) -> None:
    """It gains nothing by execve(2) either."""
    file = sandbox.write_profile(PROFILE)
    options = [f"--profile={file}", f"--allow={stage}", NO_NAMESPACES, *PROGRAM_GRANTS]
    argv = [*NONO, "run", *options, "--", *program("files.mask_waits")]
    with sandbox.started(argv, sandboxed=False) as nono:
        assert nono.stdout is not None
        assert json.loads(nono.stdout.readline()) == "ready"
        children = Path(f"/proc/{nono.pid}/task/{nono.pid}/children").read_text().split()
        keeper = next(child for child in children if os.getsid(int(child)) == int(child))
        lines = Path(f"/proc/{keeper}/status").read_text().splitlines()
        status = {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}
        kept = os.listdir(f"/proc/{keeper}/fd") if os.geteuid() == 0 else ["command", "queue", "pipe"]
        nono.communicate()
    assert status["NoNewPrivs"] == "1"
    ignored = int(status["SigIgn"], 16)
    assert all(ignored >> number - 1 & 1 for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM))
    assert len(kept) == 3


# The processes of this run: all that it sees, or where it shares /proc, its parent and that one's children.
FAMILY = """
import errno, os
from contextlib import suppress
family, parent = [], os.getppid()
for pid in sorted(int(name) for name in os.listdir("/proc") if name.isdecimal()):
    with suppress(OSError), open(f"/proc/{pid}/stat") as file:
        if parent in (0, pid, int(file.read().rpartition(")")[2].split()[1])):
            family.append(pid)
"""
SCHEDULE_OTHERS = """
for pid in family:
    if pid != os.getpid():
        try:
            os.sched_setscheduler(pid, os.SCHED_BATCH, os.sched_param(0))
            print("done")
        except OSError as error:
            print(errno.errorcode[error.errno])
"""
OWNERS = """
for pid in family:
    print(os.stat(f"/proc/{pid}/environ").st_uid)
"""
CAPABILITIES = """
for pid in family:
    with open(f"/proc/{pid}/status") as file:
        print(next(line.split()[1] for line in file if line.startswith("CapPrm")))
"""


def among_family(script: str) -> list[str]:
    return [sys.executable, "-I", "-S", "-c", FAMILY + script]


@pytest.mark.needs("mounts")
def test_the_mask_keeper_is_not_scheduled_by_the_command(sandbox: NonoRun, stage: Path) -> None:
    schedule = among_family(SCHEDULE_OTHERS)
    run = sandbox.run(schedule, profile=PROFILE)
    assert run.stdout.split() == ["EPERM", "EPERM"], run.stderr  # init or the supervisor, and the keeper
    unmasked = sandbox.run(schedule, profile={"network": {"block": True}})
    is_shared = lacking("namespaces", sandbox.user.uid)
    assert unmasked.stdout.split() == ["EPERM" if is_shared else "done"], unmasked.stderr


@pytest.mark.needs("mounts")
def test_the_mask_keeper_is_not_dumpable(sandbox: NonoRun, stage: Path) -> None:
    """Its files in /proc belong to root then (proc(5)); Landlock closes them in any case."""
    if sandbox.user.uid == 0:
        pytest.skip("root's belong to root either way")
    run = sandbox.run(among_family(OWNERS), profile=PROFILE)
    owners = [int(owner) == sandbox.user.uid for owner in run.stdout.split()]
    assert sorted(owners) == [False, False, True]  # init or the supervisor, the keeper; the command


@pytest.mark.needs("mounts")
def test_the_mask_keeper_holds_only_what_mounts_take(sandbox: NonoRun, stage: Path) -> None:
    run = sandbox.run(among_family(CAPABILITIES), profile=PROFILE)
    held = {int(line, 16) for line in run.stdout.split()}
    assert sum(1 << number for number in mask_keeper.NEEDED) in held
    assert len(held) == (3 if sandbox.user.uid == 0 else 2)  # that of root's command


@pytest.mark.needs("mounts", "namespace sysctls")
def test_without_watches_the_run_is_refused_with_what_would_help(sandbox: NonoRun, stage: Path) -> None:
    inside = 'echo 0 > /proc/sys/user/max_inotify_instances; exec "$@"'
    wrapper = ["unshare", "--user", "--map-root-user", "sh", "-c", inside, "sh"]
    run = sandbox.run(["cat", ".env"], profile=PROFILE, wrapper=wrapper)
    said = " ".join(run.stderr.split())
    assert (run.exit_code, run.stdout) == (1, "")
    assert "denied paths cannot be watched" in said
    assert "fs.inotify.max_user_instances" in said


@pytest.mark.needs("namespaces")
@pytest.mark.parametrize("has_profiles", [True, False])
def test_settings_in_a_directory_that_the_command_has_another_of_need_no_mask(
    sandbox: NonoRun, has_profiles: bool
) -> None:
    """What logins lie below XDG_CONFIG_HOME is denied, and nono's profiles, which must be there to be masked.

    Without namespaces they are masked, or out of reach, or nothing starts.
    """
    settings = sandbox.make(Path(f"/tmp/nono-settings-{os.getpid()}"))
    login = settings / "gh/hosts.yml"
    try:
        sandbox.make(login.parent)
        if has_profiles:
            sandbox.make(settings / "nono")
        login.write_text(CANARY)
        sandbox.give(login)
        read, moved = ["cat", str(login)], {"XDG_CONFIG_HOME": str(settings)}
        why = [*NONO, "why", "--json", "--path", str(login)]
        own = sandbox.run(read, environment=moved)
        own_answer = sandbox.bare(why, environment=moved).outcomes()
        granted = sandbox.run(read, flags=[f"--read={settings}"], environment=moved)
        shared = sandbox.run(read, flags=[NO_NAMESPACES], environment=moved)
        shared_answer = sandbox.bare([*why, NO_NAMESPACES], environment=moved).outcomes()
    finally:
        shutil.rmtree(settings)
    assert "No such file" in own.stderr
    assert f"{settings}/" not in own.stderr.replace(str(login), "")
    assert not any(event["type"] == "masked" for event in own.events)
    assert (own_answer["status"], own_answer["enforced_by"]) == ("denied", "mounts of the run's own")
    assert CANARY not in own.stdout + granted.stdout + shared.stdout
    assert not shared_answer["enforced_by"].startswith("mounts")
    if has_profiles:
        assert f"cat: {login}: " in shared.stderr  # it ran
        assert str(login.parent) in {event["path"] for event in granted.events if event["type"] == "masked"}
    else:
        assert all("A denied path does not exist" in each.stderr for each in (granted, shared))
