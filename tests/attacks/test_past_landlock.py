"""K31 to K33, K38, K39: what Landlock does not check and leads past a grant, a mask or a process's bounds."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from support.nono_run import PROXY_ONLY, SANDBOX_POLICIES, NonoRun, program

RUNS = {
    **{policy: (PROXY_ONLY, (f"--sandbox-policy={policy}",)) for policy in SANDBOX_POLICIES},
    "blocked": ({}, ("--block-net",)),
    "open": ({}, ()),
}
HOW = pytest.mark.parametrize(("profile", "flags"), RUNS.values(), ids=RUNS)
PARANOIA = Path("/proc/sys/kernel/perf_event_paranoid")
PARANOID_UPSTREAM = 2  # the most that Linux itself knows; Debian's kernels have 3
# The same as without nono.
FREE = ("perf_event_open of itself", "FS_IOC_GETFLAGS")
PERF = ("perf_event_open of a CPU", "perf_event_open of a CPU, high bits", "perf_event_open of a cgroup")
SNAPSHOT = "btrfs subvolume snapshot . copied; cat copied/.env; btrfs subvolume create made; ls"


def closed(outcomes: Mapping[str, str]) -> dict[str, str]:
    return {name: outcome for name, outcome in outcomes.items() if name not in FREE}


@HOW
def test_none_of_it_is_carried_out(
    profile: Mapping[str, object], flags: tuple[str, ...], sandbox: NonoRun
) -> None:
    outcomes = sandbox.run(program("files.past_landlock"), profile=profile, flags=flags).outcomes()
    assert closed(outcomes) == dict.fromkeys(closed(outcomes), "EPERM")
    bare = sandbox.bare(program("files.past_landlock")).outcomes()
    if sandbox.user.uid == 0 and int(PARANOIA.read_text()) > PARANOID_UPSTREAM:
        bare[FREE[0]] = "EACCES"  # it takes a capability that the command does not have
    assert {name: outcomes[name] for name in FREE} == {name: bare[name] for name in FREE}


def test_the_kernel_is_asked_for_it_without_nono(sandbox: NonoRun) -> None:
    """It does not know the request, or misses its argument; a handle and an event of a CPU want a right."""
    outcomes = closed(sandbox.bare(program("files.past_landlock")).outcomes())
    assert "EPERM" not in {outcomes[name] for name in outcomes if "_IOC" in name}
    if sandbox.user.uid == 0 and outcomes["open_by_handle_at"] == "ok":
        assert {outcomes[name] for name in PERF[:2]} == {"ok"}


@pytest.mark.needs("listener")
def test_the_refusals_are_recorded(sandbox: NonoRun) -> None:
    run = sandbox.run(program("files.past_landlock"))
    assert {event["rule"] for event in run.denied} == {"network.static_filter"}
    reasons = {event["target"]: event["reason"] for event in run.denied}
    assert "denied" in reasons["ioctl(0x50009417)"]
    assert "lock" in reasons["ioctl(0xc0406618)"]


@pytest.mark.needs("listener", "perf_event_open")  # what an engine's filter refuses reaches no listener
def test_a_refused_handle_and_event_are_recorded(sandbox: NonoRun) -> None:
    targets = {event["target"] for event in sandbox.run(program("files.past_landlock")).denied}
    assert {"open_by_handle_at", "perf_event_open(pid=-1)"} <= targets


@HOW
def test_what_is_opened_in_access_mode_3_leads_to_nothing(
    profile: Mapping[str, object], flags: tuple[str, ...], sandbox: NonoRun
) -> None:
    """Landlock asks no right of an open that can neither read nor write."""
    file = sandbox.user.home / "mode-3"
    file.write_text("canary")
    sandbox.give(file)
    outcomes = sandbox.run(program("files.mode_three", str(file)), profile=profile, flags=flags).outcomes()
    bare = sandbox.bare(program("files.mode_three", str(file))).outcomes()
    file.unlink()
    assert (outcomes.pop("lease"), outcomes.pop("open again")) == ("EPERM", "EACCES")
    assert (bare.pop("lease"), bare.pop("open again")) == ("ok", "ok")
    assert outcomes == bare
    assert "ok" not in bare.values()


@pytest.fixture
def volume(btrfs: Path) -> Path:
    """Return a subvolume of btrfs with a denied file, mounted in the project."""
    (btrfs / ".env").write_text("what is denied\n")
    return btrfs


@pytest.mark.root
@pytest.mark.needs("mounts", "CAP_SYS_ADMIN")
@pytest.mark.parametrize("sandbox", ["root"], indirect=True)
def test_no_snapshot_shows_what_is_denied(sandbox: NonoRun, volume: Path) -> None:
    script = f"cd {volume}; {SNAPSHOT}"
    run = sandbox.run(["sh", "-c", script], profile={"filesystem": {"deny": [str(volume / ".env")]}})
    assert run.stdout == "", run.stderr
    assert "Operation not permitted" in run.stderr
    assert "what is denied" in sandbox.bare(["sh", "-c", script]).stdout


def overlay(sandbox: NonoRun) -> tuple[list[str], Path]:
    """Return a program that makes an overlay, and the file that the kernel would remove for that."""
    home = sandbox.give(Path(tempfile.mkdtemp(dir=sandbox.user.home)))
    lower, upper, beside = (sandbox.make(home / name) for name in ("lower", "upper", "beside"))
    file = beside / "work"
    file.write_text("of the person")
    return program("files.overlays", str(lower), str(upper), str(beside)), sandbox.give(file)


@pytest.mark.needs("user namespaces", "unshare")
@HOW
def test_no_overlay_removes_a_file_or_makes_a_directory(
    profile: Mapping[str, object], flags: tuple[str, ...], sandbox: NonoRun
) -> None:
    argv, file = overlay(sandbox)
    run = sandbox.run(argv, profile=profile, flags=flags)
    assert run.outcomes() == {"overlay": "EPERM"}, run.stderr
    assert file.read_text() == "of the person"


@pytest.mark.needs("user namespaces", "unshare", "listener")
def test_a_refused_overlay_is_recorded(sandbox: NonoRun) -> None:
    run = sandbox.run(overlay(sandbox)[0])
    assert [event["rule"] for event in run.denied if event["target"] == "fsopen"] == ["network.static_filter"]


@pytest.mark.needs("user namespaces", "unshare")
def test_an_overlay_does_both_without_nono(sandbox: NonoRun) -> None:
    argv, file = overlay(sandbox)
    outcome = sandbox.bare(argv).outcomes()["overlay"]
    if outcome not in ("ok", "EACCES"):  # it may not use the new directory, which is of mode 0
        pytest.skip(f"no overlay can be made here: {outcome}")
    assert file.is_dir()
    file.chmod(0o700)  # so that who is not root can remove it


@pytest.mark.parametrize("flags", [(), ("--namespaces=off",)], ids=["namespaces", "without"])
def test_no_other_user_gets_a_program_that_runs_as_the_person(
    flags: tuple[str, ...], sandbox: NonoRun
) -> None:
    """Another user whom the command reaches, such as that of a database, could start it outside."""
    script = "cp /usr/bin/id own && chmod g+s,u+x own && echo made; chmod u+s own && echo set"
    run = sandbox.run(["sh", "-c", script], profile={}, flags=flags)
    is_root = sandbox.user.uid == 0
    assert run.stdout.split() == (["made", "set"] if is_root else ["made"])
    assert ("Operation not permitted" in run.stderr) is not is_root


def test_without_nono_anybody_makes_one(sandbox: NonoRun) -> None:
    bare = sandbox.bare(["sh", "-c", "cp /usr/bin/id bare && chmod u+s bare && stat -c %a bare"])
    assert bare.stdout.startswith("4"), bare.stderr
