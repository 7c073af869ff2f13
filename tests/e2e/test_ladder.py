"""The enforcement ladder, cell by cell: what a run says, what it reaches and what it cannot reach.

Each cell is a simulated kernel and a wsl2_proxy_policy; the run is the real one of an ordinary user.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import pytest

import nono
from nono.kernel import landlock
from nono.sandbox.plan.enforcement import Rung
from support.kernelsim.kernel import WSL2, Kernel
from support.ladder import probe as ladder_probe
from support.ladder.stage import NONO, REAL_KEY, Stage, audited, sandboxed
from support.running.needs import ORDINARY, has_datagrams
from support.servers.http1 import Received

SetupOn = Callable[[Kernel], subprocess.CompletedProcess[str]]

HOST_ABI = landlock.abi_version()
INSECURE, ERROR, NETNS = "insecure_proxy", "error", "netns"
EXTERNAL, LANDLOCK = "external", "landlock"

INSECURE_WARNING = (
    "[nono] WARNING: WSL2 insecure proxy mode — credential proxy active but network is NOT\n"
    "kernel-enforced. The sandboxed process can bypass the proxy and open arbitrary outbound connections.\n"
)
OPT_IN = (
    'To allow degraded execution, set wsl2_proxy_policy: "insecure_proxy" in your profile\'s security config.'
)
FAILED = "nono: Sandbox initialization failed: "
CANNOT = "proxy-only network mode cannot be kernel-enforced."

ON_WSL2 = f"{FAILED}WSL2: {CANNOT}"
ON_LINUX = f"{FAILED}this kernel: {CANNOT}"
NO_NETNS = (
    f"{FAILED}this kernel: the private network namespace of netns is not available: a seccomp filter "
    "of whatever started nono may refuse it (unshare(CLONE_NEWUSER | CLONE_NEWNET): "
    "Operation not permitted [EPERM])."
)
NO_TCP_RULES = (
    f"{FAILED}sandbox policy landlock: Landlock ABI V3 lacks network support (requires V4+, kernel 6.7+)."
)
NO_LANDLOCK = f"{FAILED}Landlock not available. Requires Linux kernel 5.13+ with Landlock enabled."


@dataclass(frozen=True, slots=True)
class Cell:
    """A kernel, a policy, and what becomes of the run: the rung it stands on or the words of its refusal."""

    kernel: Kernel
    policy: str | None
    outcome: Rung | str
    sandbox_policy: str | None = None

    def __str__(self) -> str:
        return "-".join(filter(None, (str(self.kernel), self.policy or "default", self.sandbox_policy)))

    @property
    def abi(self) -> int:
        return self.kernel.landlock_abi if self.kernel.landlock_abi is not None else HOST_ABI


def wsl2(abi: int) -> Kernel:
    return Kernel(wsl2=True, notify_busy=True, landlock_abi=abi)


CELLS = [
    Cell(Kernel(), None, Rung.NOTIFY),
    Cell(Kernel(notify_busy=True, landlock_abi=4), None, Rung.LANDLOCK),
    Cell(Kernel(notify_busy=True, landlock_abi=3), None, ON_LINUX),
    Cell(WSL2, None, ON_WSL2),
    Cell(WSL2, ERROR, ON_WSL2),
    Cell(WSL2, INSECURE, Rung.NONE),
    *(Cell(wsl2(abi), NETNS, Rung.NETNS) for abi in (3, 4, 6)),
    Cell(Kernel(notify_busy=True, landlock_abi=3), NETNS, Rung.NETNS),
    Cell(Kernel(notify_busy=True, landlock_abi=3, no_userns=True), NETNS, NO_NETNS),
    Cell(Kernel(notify_busy=True, landlock_abi=4, no_userns=True), NETNS, NO_NETNS),
    Cell(Kernel(landlock_abi=3), NETNS, Rung.NOTIFY),
    Cell(Kernel(), None, Rung.NETNS, NETNS),
    Cell(WSL2, ERROR, Rung.NETNS, NETNS),
    Cell(Kernel(notify_busy=True, no_userns=True, landlock_abi=6), None, NO_NETNS, NETNS),
    Cell(Kernel(landlock_abi=4), None, Rung.LANDLOCK, LANDLOCK),
    Cell(Kernel(landlock_abi=3), None, NO_TCP_RULES, LANDLOCK),
    Cell(WSL2, INSECURE, NO_TCP_RULES, LANDLOCK),
    Cell(Kernel(), None, Rung.NONE, EXTERNAL),
    Cell(WSL2, ERROR, Rung.NONE, EXTERNAL),
    *(Cell(wsl2(abi), policy, Rung.LANDLOCK) for abi in (4, 6) for policy in (None, ERROR, INSECURE)),
    Cell(Kernel(landlock_abi=0), None, NO_LANDLOCK),
    *(Cell(Kernel(landlock_abi=abi), None, Rung.NOTIFY) for abi in range(1, 7)),
    Cell(Kernel(landlock_abi=3), INSECURE, Rung.NOTIFY),
    Cell(Kernel(wsl2=True, landlock_abi=3), None, Rung.NOTIFY),
]
if HOST_ABI >= 4:
    CELLS.append(Cell(Kernel(notify_busy=True), None, Rung.LANDLOCK))
elif HOST_ABI >= 1:
    CELLS.append(Cell(Kernel(notify_busy=True), None, ON_LINUX))
STARTED = [cell for cell in CELLS if isinstance(cell.outcome, Rung)]
REFUSED = [cell for cell in CELLS if not isinstance(cell.outcome, Rung)]
KERNELS = list(dict.fromkeys(cell.kernel for cell in CELLS))
# A cell for each outcome and each way to ask for it. `nono why` and a dry run ask choose_enforcement as a run
# does, and tests/unit/sandbox/plan/test_ladder.py tries its every row.
OUTCOMES = list({(cell.outcome, cell.sandbox_policy): cell for cell in reversed(CELLS)}.values())
# The first kernel of each ABI: files need nothing else of a kernel.
BY_ABI = list({kernel.landlock_abi: kernel for kernel in reversed(KERNELS)}.values())

# What the probe finds on each rung: "direct" is a port of this host, "elsewhere" the proxy's port at another
# address. Only what is "ok" in one row and refused in another shows what the rung is worth.
CLOSED_ANYWHERE = {"mptcp": "EPERM", "private": "EACCES"}
OPEN_ANYWHERE = {"project": "ok", "credential": "200"}
REACH: dict[Rung, dict[str, str]] = {
    Rung.NOTIFY: {"direct": "EACCES", "elsewhere": "EACCES", "unix": "EACCES", "abstract": "ECONNREFUSED"},
    Rung.NETNS: {
        "direct": "ECONNREFUSED",
        "elsewhere": "ECONNREFUSED",
        "unix": "ok",
        "abstract": "ECONNREFUSED",
    },
    Rung.LANDLOCK: {"direct": "EACCES", "elsewhere": "ok", "unix": "ok", "abstract": "ok"},
    Rung.NONE: {"direct": "ok", "elsewhere": "ok", "unix": "ok", "abstract": "ok"},
}


def udp(rung: Rung, kernel: Kernel) -> dict[str, str]:
    """Return what becomes of a datagram, which reaches nobody even where it is sent (ADR 99).

    The simulated WSL2 is below mounts that leave an ordinary user no namespaces.
    """
    has_own = has_datagrams(ORDINARY) and not kernel.wsl2
    is_sent = rung is Rung.NETNS or (rung is Rung.NOTIFY and has_own)
    return {"udp": "ok" if is_sent else "EPERM"}


def reach(cell: Cell) -> dict[str, str]:
    """Return what the probe finds in this cell, where a newer Landlock holds more than the rung does."""
    rung = rung_of(cell)
    found = REACH[rung] | udp(rung, cell.kernel)
    if rung in (Rung.LANDLOCK, Rung.NONE) and cell.abi >= 6:
        found["abstract"] = "EPERM"
    return found


# A host may be built without it.
MPTCP = ladder_probe.outcome(ladder_probe.make_mptcp_socket)


def closed(cell: Cell) -> dict[str, str]:
    """Return what no run reaches; without any filter of nono's that is files alone."""
    return CLOSED_ANYWHERE | ({"udp": "ok", "mptcp": MPTCP} if cell.sandbox_policy == EXTERNAL else {})


RUNG_LINES = {
    Rung.NOTIFY: "  enforced by notify: every connection is made by the supervisor, address and port checked",
    Rung.NETNS: "  enforced by netns: the command has a network of its own, in which only the proxy listens",
    Rung.LANDLOCK: "  enforced by landlock: Landlock checks the port of a connection, not its address",
    Rung.NONE: "  enforced by none: NOT enforced: the command may connect anywhere",
}


def cells(chosen: list[Cell]) -> pytest.MarkDecorator:
    params = [_param(cell, cell.kernel, *_needs(cell)) for cell in chosen]
    return pytest.mark.parametrize("cell", params, indirect=True)


def _needs(cell: Cell) -> tuple[str, ...]:
    """Return what a host must have that its kernel is not simulated to lack."""
    if cell.outcome == NO_NETNS:
        return ("namespaces",)  # the words are those of the simulated cause, which a container has too
    match cell.outcome:
        case Rung.NOTIFY:
            return ("listener",)
        case Rung.NETNS:
            return ("network namespace",)
    return ()


def _param(value: object, kernel: Kernel, *needs: str) -> object:
    """Return a parameter, skipped where the host's own Landlock is older than the simulated one."""
    lacking = pytest.mark.skipif(
        max(kernel.landlock_abi or 0, 1) > HOST_ABI, reason=f"the host has Landlock ABI {HOST_ABI}"
    )
    return pytest.param(value, id=str(value), marks=(lacking, pytest.mark.needs(*needs)))


@dataclass(slots=True)
class Run:
    """One run of the probe in a cell, with what the outside saw of it."""

    result: subprocess.CompletedProcess[str]
    touched: dict[str, int]
    requests: list[Received]
    events: list[dict[str, object]]
    found: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        self.found = json.loads(self.result.stdout) if self.result.stdout else {}


@pytest.fixture(scope="module")
def cell(request: pytest.FixtureRequest) -> Cell:
    chosen: Cell = request.param
    return chosen


@pytest.fixture(scope="module")
def ran(ladder_stage: Stage, cell: Cell) -> Run:
    return run_probe(ladder_stage, cell)


def run_probe(stage: Stage, cell: Cell, *more: str, **environment: str) -> Run:
    before, requests = stage.touched(), len(stage.upstream.requests)
    result = stage.nono(
        "run",
        *more,
        *sandboxed(stage, cell.policy),
        *(("--sandbox-policy", cell.sandbox_policy) if cell.sandbox_policy else ()),
        "--",
        *stage.probe(),
        kernel=cell.kernel,
        environment=environment,
    )
    touched = {name: count - before[name] for name, count in stage.touched().items()}
    return Run(result, touched, stage.upstream.requests[requests:], audited(stage))


@pytest.fixture(scope="module")
def setup_on(ladder_stage: Stage) -> SetupOn:
    """Run `nono setup --check-only` on a kernel, once: it says the same every time."""
    return cache(lambda kernel: ladder_stage.nono("setup", "--check-only", kernel=kernel))


def rung_of(cell: Cell) -> Rung:
    assert isinstance(cell.outcome, Rung)
    return cell.outcome


def test_outside_a_sandbox_the_probe_reaches_everything(ladder_stage: Stage) -> None:
    found = json.loads(ladder_stage.user.run(ladder_stage.probe()).stdout)
    if found.pop("mptcp") != "ok":  # a host may be built without it
        pytest.skip("the host has no MPTCP")
    assert set(found) == {
        *("direct", "elsewhere", "udp", "unix", "abstract", "project", "private", "credential")
    }
    assert found.pop("credential") == "absent"
    assert set(found.values()) == {"ok"}


@cells(STARTED)
def test_a_run_reaches_exactly_what_its_rung_leaves_open(ran: Run, cell: Cell) -> None:
    assert ran.result.returncode == 0, ran.result.stderr
    assert ran.found == reach(cell) | closed(cell) | OPEN_ANYWHERE


@cells(STARTED)
def test_the_outside_was_reached_by_exactly_what_the_probe_says(ran: Run, cell: Cell) -> None:
    reached = {name: int(ran.found[name] == "ok") for name in ran.touched}
    assert ran.touched == reached | ({"udp": 0} if cell.sandbox_policy != EXTERNAL else {})


@cells(STARTED)
def test_the_upstream_gets_the_real_key_on_every_rung(ran: Run, cell: Cell) -> None:
    assert [request.values(b"authorization") for request in ran.requests] == [[f"Bearer {REAL_KEY}".encode()]]
    assert REAL_KEY not in ran.result.stdout + ran.result.stderr


@cells(STARTED)
def test_the_weaker_rungs_are_said_without_being_asked(ran: Run, cell: Cell) -> None:
    stderr = ran.result.stderr
    assert (RUNG_LINES[rung_of(cell)] in stderr.splitlines()) == (cell.outcome is not Rung.NOTIFY)
    is_external = cell.sandbox_policy == EXTERNAL
    assert (INSECURE_WARNING in stderr) == (cell.outcome is Rung.NONE and not is_external)
    assert ("WARNING: sandbox policy external: nono does NOT enforce the proxy" in stderr) == is_external
    assert ("not enforced: sandbox policy external" in stderr) == is_external
    assert ("only the port of a connection is checked here" in stderr) == (cell.outcome is Rung.LANDLOCK)


@cells(STARTED)
def test_the_audit_log_holds_the_rung(ran: Run, cell: Cell) -> None:
    enforced = [event["rung"] for event in ran.events if event["type"] == "enforced_by"]
    assert enforced == [rung_of(cell).value]


@cells([cell for cell in OUTCOMES if cell.kernel.landlock_abi != 0])
def test_why_names_the_rung_that_a_run_would_stand_on(ladder_stage: Stage, cell: Cell) -> None:
    asked = ["--profile", ladder_stage.profile(cell.policy), "--host", "x.example", "--json"]
    asked += ["--sandbox-policy", cell.sandbox_policy] if cell.sandbox_policy else []
    answer = json.loads(ladder_stage.nono("why", *asked, kernel=cell.kernel).stdout)
    if isinstance(cell.outcome, Rung):
        assert answer["enforced_by"].startswith(f"{cell.outcome.value}: ")
    else:
        refused = cell.outcome.removeprefix(FAILED)
        assert answer["enforced_by"] == f"nothing, the run is refused: {refused}"


@cells(STARTED)
def test_the_audit_log_holds_what_is_not_enforced(ran: Run, cell: Cell) -> None:
    gaps = " ".join(str(event["what"]) for event in ran.events if event["type"] == "not_enforced")
    assert ("only the port of a connection" in gaps) == (cell.outcome is Rung.LANDLOCK)
    assert ("open arbitrary outbound connections" in gaps) == (cell.outcome is Rung.NONE)
    assert ("Unix sockets with a path are not checked" in gaps) == (ran.found["unix"] == "ok")
    assert ("has no scopes" in gaps) == (cell.abi < 6)
    assert ("abstract Unix sockets" in gaps) == (cell.abi < 6 and cell.outcome is not Rung.NETNS)


@cells(REFUSED)
def test_a_run_that_cannot_be_held_is_refused_before_it_starts(ran: Run, cell: Cell) -> None:
    assert ran.result.returncode == 1
    assert ran.result.stderr.strip().splitlines()[0] == cell.outcome
    assert ran.result.stdout == ""
    assert not any(ran.touched.values())
    assert ran.requests == []


@cells([cell for cell in REFUSED if cell.outcome in (ON_WSL2, ON_LINUX)])
def test_the_refusal_names_the_opt_in_the_errno_and_the_issue(ran: Run, cell: Cell) -> None:
    stderr = ran.result.stderr
    assert OPT_IN in stderr.splitlines()
    assert "seccomp user notification returns EBUSY" in stderr
    assert ("microsoft/WSL#9548" in stderr) == cell.kernel.wsl2


@pytest.mark.parametrize("policy", [None, ERROR])
def test_without_user_namespaces_the_refusal_does_not_offer_one(
    ladder_stage: Stage, policy: str | None
) -> None:
    offer = "A private network namespace is available here"
    with_namespaces = run_probe(ladder_stage, Cell(WSL2, policy, ON_WSL2))
    without = run_probe(
        ladder_stage,
        Cell(Kernel(notify_busy=True, landlock_abi=3, no_userns=True), policy, ON_LINUX),
    )
    assert offer in with_namespaces.result.stderr
    assert offer not in without.result.stderr
    assert without.result.stderr.strip().splitlines()[0] == ON_LINUX


@cells(OUTCOMES)
def test_a_dry_run_foretells_the_rung_or_refusal_of_the_run(
    ran: Run, cell: Cell, ladder_stage: Stage
) -> None:
    dry = run_probe(ladder_stage, cell, "--dry-run", "-v")
    assert dry.result.returncode == ran.result.returncode
    assert dry.result.stdout == ""
    assert not any(dry.touched.values())
    assert dry.requests == []
    lines = dry.result.stderr.splitlines()
    if isinstance(cell.outcome, Rung):
        assert [line for line in lines if line.startswith("  enforced by")] == [RUNG_LINES[cell.outcome]]
    else:
        assert dry.result.stderr == ran.result.stderr


@pytest.mark.needs("listener")
def test_silent_hides_all_but_the_warning_that_nothing_is_enforced(ladder_stage: Stage) -> None:
    insecure = run_probe(ladder_stage, Cell(WSL2, INSECURE, Rung.NONE), "--silent")
    assert insecure.result.stderr == f"  {INSECURE_WARNING}"
    assert insecure.result.returncode == 0
    held = run_probe(ladder_stage, Cell(Kernel(), INSECURE, Rung.NOTIFY), "--silent")
    assert held.result.stderr == ""
    assert held.found["direct"] == "EACCES"
    external = run_probe(ladder_stage, Cell(Kernel(), None, Rung.NONE, EXTERNAL), "--silent")
    assert external.result.stderr.startswith("  [nono] WARNING: sandbox policy external: nono does NOT")
    assert external.found["direct"] == "ok"


@pytest.mark.needs("listener")
def test_the_name_of_a_distribution_turns_no_native_kernel_into_wsl2(ladder_stage: Stage) -> None:
    busy = Kernel(notify_busy=True, landlock_abi=3)
    named = run_probe(ladder_stage, Cell(busy, None, ON_LINUX), WSL_DISTRO_NAME="Ubuntu")
    assert named.result.stderr.strip().splitlines()[0] == ON_LINUX
    native = run_probe(ladder_stage, Cell(Kernel(), INSECURE, Rung.NOTIFY), WSL_DISTRO_NAME="Ubuntu")
    assert native.found == REACH[Rung.NOTIFY] | udp(Rung.NOTIFY, Kernel()) | CLOSED_ANYWHERE | OPEN_ANYWHERE
    setup = ladder_stage.nono("setup", "--check-only", environment={"WSL_DISTRO_NAME": "Ubuntu"})
    assert "WSL2" not in setup.stdout


def test_wsl2_is_recognised_whatever_its_distribution_is_called(ladder_stage: Stage) -> None:
    outcomes = [
        run_probe(ladder_stage, Cell(WSL2, None, ON_WSL2), WSL_DISTRO_NAME=name).result.stderr
        for name in ("", "Ubuntu")
    ]
    assert outcomes[0] == outcomes[1]
    assert ON_WSL2 in outcomes[0]


@pytest.mark.parametrize("command", ["run", "wrap"])
@pytest.mark.parametrize(
    "kernel", [_param(kernel, kernel) for kernel in (Kernel(), WSL2, wsl2(6), Kernel(landlock_abi=1))]
)
def test_block_net_closes_every_network_where_no_proxy_could_be_held(
    ladder_stage: Stage, kernel: Kernel, command: str
) -> None:
    before = ladder_stage.touched()
    arguments = [*ladder_stage.grants(), "--", *ladder_stage.probe()]
    blocked = ladder_stage.nono(command, "--block-net", *arguments, kernel=kernel)
    assert blocked.returncode == 0, blocked.stderr
    found = json.loads(blocked.stdout)
    closed = ("direct", "elsewhere", "udp", "mptcp")
    assert {name: found[name] for name in closed} == dict.fromkeys(closed, "EPERM")
    after = ladder_stage.touched()
    assert [after[name] - before[name] for name in ("direct", "elsewhere", "udp")] == [0, 0, 0]
    open_run = ladder_stage.nono(command, *arguments, kernel=kernel)
    assert json.loads(open_run.stdout)["direct"] == "ok"


@pytest.mark.parametrize("policy", [LANDLOCK, EXTERNAL])
def test_only_external_leaves_a_blocked_network_open(ladder_stage: Stage, policy: str) -> None:
    probe = ["--block-net", "--sandbox-policy", policy, *ladder_stage.grants(), "--", *ladder_stage.probe()]
    ran = ladder_stage.nono("run", *probe)
    found = json.loads(ran.stdout)
    gaps = [event["what"] for event in audited(ladder_stage) if event["type"] == "not_enforced"]
    names = ("direct", "elsewhere", "udp", "private")
    is_open = policy == EXTERNAL
    outcomes = ["ok", "ok", "ok", "EACCES"] if is_open else ["EPERM", "EPERM", "EPERM", "EACCES"]
    assert [found[name] for name in names] == outcomes
    assert ("WARNING: sandbox policy external: nono does NOT enforce --block-net" in ran.stderr) == is_open
    assert any("does NOT enforce --block-net" in str(gap) for gap in gaps) == is_open
    old = ladder_stage.nono("run", *probe, kernel=Kernel(landlock_abi=3))
    if is_open:
        assert json.loads(old.stdout)["direct"] == "ok"
    else:
        assert (old.returncode, old.stdout) == (1, "")
        assert old.stderr.splitlines()[0] == NO_TCP_RULES


def profile_with(ladder_stage: Stage, policy: str) -> list[str]:
    profile = ladder_stage.user.home / "policy.json"
    profile.write_text(json.dumps({"linux": {"sandbox_policy": policy}}))
    profile.chmod(0o644)
    return ["-p", str(profile)]


POLICIES_OF_RUN = (LANDLOCK, EXTERNAL, NETNS)


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(("wrap", "echo", "started"), id="wrap"),
        pytest.param(("shell",), id="shell"),
        pytest.param(("learn", "--watch", "true"), id="learn", marks=pytest.mark.needs("listener")),
    ],
)
def test_only_run_takes_a_profile_with_a_sandbox_policy(
    ladder_stage: Stage, command: tuple[str, ...]
) -> None:
    auto = profile_with(ladder_stage, "auto")
    assert ladder_stage.nono(command[0], *auto, *command[1:]).returncode == 0
    for policy in POLICIES_OF_RUN:
        refused = ladder_stage.nono(command[0], *profile_with(ladder_stage, policy), *command[1:])
        assert (refused.returncode, refused.stdout) == (1, ""), policy
        assert "which is only supported by `nono run`" in refused.stderr


@pytest.mark.parametrize("policy", POLICIES_OF_RUN)
def test_run_takes_a_profile_with_a_sandbox_policy(ladder_stage: Stage, policy: str) -> None:
    started = ladder_stage.nono("run", *profile_with(ladder_stage, policy), "--", "echo", "started")
    assert started.stdout == "started\n", started.stderr


ELEVATION_NOTE = (
    "  [nono] WSL2: capability elevation disabled "
    "(seccomp user notification returns EBUSY, microsoft/WSL#9548)\n"
)


def test_silent_does_not_hide_that_wsl2_disables_elevation(
    ladder_stage: Stage,
) -> None:
    asked = ("-s", "--capability-elevation", "--", "true")
    noted = ladder_stage.nono("run", *asked, kernel=WSL2)
    assert (noted.returncode, noted.stdout, noted.stderr) == (0, "", ELEVATION_NOTE)
    native = ladder_stage.nono("run", *asked)
    assert (native.returncode, native.stderr) == (0, "")
    assert ladder_stage.nono("run", "-s", "--", "true", kernel=WSL2).stderr == ""


@pytest.mark.parametrize("kernel", [_param(kernel, kernel) for kernel in BY_ABI])
def test_wrap_holds_the_file_system_wherever_there_is_landlock(ladder_stage: Stage, kernel: Kernel) -> None:
    def read(path: Path) -> subprocess.CompletedProcess[str]:
        argv = ["--allow", str(ladder_stage.project), "--", "cat", str(path)]
        return ladder_stage.nono("wrap", *argv, kernel=kernel)

    allowed, denied = read(ladder_stage.project / "note"), read(ladder_stage.private / "secret")
    if kernel.landlock_abi == 0:
        for refused in (allowed, denied):
            assert (refused.returncode, refused.stdout) == (1, "")
            assert refused.stderr.strip().splitlines()[0] == NO_LANDLOCK
        return
    assert (allowed.returncode, allowed.stdout) == (0, "the note\n"), allowed.stderr
    assert (denied.returncode, denied.stdout) == (1, "")
    assert "Permission denied" in denied.stderr


PROXY_ONLY = {
    Rung.NOTIFY: "  * Proxy-only network: enforced by notify (",
    Rung.LANDLOCK: "  * Proxy-only network: enforced by landlock (",
}
PROXY_ONLY_REFUSED = (
    "  * Proxy-only network (--credential, --network-profile): refused by default on this kernel"
)
MATRIX = """\
  * WSL2 environment detected
  *   Filesystem sandbox: available (Landlock V{abi})
  *   Block-all network (--block-net): available
  *   Per-port network filtering: {ports}
  *   Credential proxy (--credential): {proxy}
  *   Capability elevation (--capability-elevation): unavailable
  *   Note: seccomp user notification returns EBUSY (microsoft/WSL#9548)
"""
LIMIT_NAMESPACES = """
import os, sys
uid, gid = os.getuid(), os.getgid()
os.unshare(os.CLONE_NEWUSER)
for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
    open(f"/proc/self/{name}", "w").write(text)
open("/proc/sys/user/max_user_namespaces", "w").write("0")
os.execv(sys.argv[1], sys.argv[1:])
"""
WSL2_MATRICES = {
    3: MATRIX.format(
        abi=3,
        ports="unavailable (needs kernel 6.7+ for Landlock V4)",
        proxy="requires wsl2_proxy_policy profile opt-in",
    ),
    **{
        abi: MATRIX.format(
            abi=abi,
            ports="available (Landlock V4+)",
            proxy="available (port only: the address of a connection is not checked)",
        )
        for abi in (4, 6)
    },
}
TCP_FALLBACK = (
    "  * TCP network filtering: not supported by this ABI (seccomp fallback available: full --block-net"
)


@cells([cell for cell in CELLS if cell.policy is cell.sandbox_policy is None])
def test_setup_foretells_what_becomes_of_a_proxy_only_run(setup_on: SetupOn, cell: Cell) -> None:
    setup = setup_on(cell.kernel)
    lines = setup.stdout.splitlines()
    if cell.outcome == NO_LANDLOCK:
        assert setup.returncode == 1
        assert setup.stderr.startswith("nono: Setup error: Landlock is not available: ")
        assert "Installation verified!" not in lines
        return
    assert (setup.returncode, setup.stderr) == (0, "")
    assert lines[-1] == "Installation verified!"
    said = [line for line in lines if line.startswith("  * Proxy-only network")]
    if isinstance(cell.outcome, Rung):
        assert [line[: len(PROXY_ONLY[cell.outcome])] for line in said] == [PROXY_ONLY[cell.outcome]]
    else:
        assert said == [PROXY_ONLY_REFUSED]


@pytest.mark.parametrize(
    "kernel", [_param(WSL2, WSL2), _param(Kernel(wsl2=True), Kernel(wsl2=True), "listener")]
)
def test_setup_and_a_run_agree_on_capability_elevation_on_wsl2(
    setup_on: SetupOn, ladder_stage: Stage, kernel: Kernel
) -> None:
    is_available = not kernel.notify_busy
    line = "  *   Capability elevation (--capability-elevation): "
    said = [text for text in setup_on(kernel).stdout.splitlines() if text.startswith(line)]
    assert said == [line + ("available" if is_available else "unavailable")]
    run = ladder_stage.nono("run", "--capability-elevation", "--", "true", kernel=kernel)
    assert run.returncode == 0, run.stderr
    assert ("WSL2: capability elevation disabled" in run.stderr) is not is_available


@pytest.mark.parametrize(
    "kernel",
    [
        _param(kernel, kernel, "namespaces" if kernel.no_userns else "network namespace")
        for kernel in KERNELS
        if kernel.landlock_abi
    ],
)
def test_setup_says_if_a_private_network_is_possible(setup_on: SetupOn, kernel: Kernel) -> None:
    stdout = setup_on(kernel).stdout
    available = "  * Private network namespace: available (--sandbox-policy netns, wsl2_proxy_policy"
    unavailable = (
        "  * Private network namespace: unavailable, a seccomp filter of whatever started nono may refuse it"
    )
    assert (available in stdout) == (not kernel.no_userns)
    assert (unavailable in stdout) == kernel.no_userns


@pytest.mark.parametrize(
    "kernel",
    [
        _param(kernel, kernel)
        for kernel in (Kernel(landlock_abi=1), WSL2, WSL2._replace(wsl2=False, no_userns=True))
    ],
)
def test_setup_says_if_a_command_has_namespaces_of_its_own(
    setup_on: SetupOn, ladder_stage: Stage, kernel: Kernel
) -> None:
    stdout = setup_on(kernel).stdout
    run = ladder_stage.nono("run", "--namespaces=require", "--", "true", kernel=kernel)
    assert ("  * Namespaces of each command's own: available" in stdout) == (run.returncode == 0)
    assert ("  * Namespaces of each command's own: unavailable, " in stdout) == (run.returncode == 1)
    if kernel.no_userns:
        assert run.returncode == 1


@pytest.mark.needs("namespace sysctls")
def test_setup_names_the_setting_that_lifts_a_namespace_limit(ladder_stage: Stage) -> None:
    """The limit is one of the namespace that the user's account is put in, here by the test itself."""
    limited = [
        sys.executable,
        "-I",
        "-c",
        LIMIT_NAMESPACES,
        *(NONO, "run", *sandboxed(ladder_stage), "--sandbox-policy", "netns", "--", *ladder_stage.probe()),
    ]
    before = ladder_stage.touched()
    refused = ladder_stage.user.run(limited, environment={"DEMO_KEY": REAL_KEY}, cwd=ladder_stage.project)
    assert (refused.returncode, refused.stdout) == (1, "")
    lines = refused.stderr.strip().splitlines()
    assert lines == [
        f"{FAILED}this kernel: the private network namespace of netns is not available: "
        "user.max_user_namespaces is 0 (unshare(CLONE_NEWUSER | CLONE_NEWNET): "
        "No space left on device [ENOSPC]).",
        "hint: sudo sysctl -w user.max_user_namespaces=1000",
    ]
    assert ladder_stage.touched() == before


@pytest.mark.parametrize(
    "kernel",
    [
        _param(kernel, kernel, *(() if kernel.notify_busy or kernel.landlock_abi >= 4 else ("listener",)))
        for kernel in KERNELS
        if kernel.landlock_abi
    ],
)
def test_setup_prints_the_landlock_version_and_what_it_filters(setup_on: SetupOn, kernel: Kernel) -> None:
    stdout = setup_on(kernel).stdout
    abi = kernel.landlock_abi or 0
    assert f"  * Landlock V{abi}\n" in stdout
    assert ("  *   - TCP network filtering\n" in stdout) == (abi >= 4)
    assert ("  * TCP network rule support verified\n" in stdout) == (abi >= 4)
    fallback = [line for line in stdout.splitlines() if line.startswith(TCP_FALLBACK)]
    proxy_too = "" if kernel.notify_busy else " and --proxy-only modes"
    assert fallback == ([] if abi >= 4 else [f"{TCP_FALLBACK}{proxy_too})"])


@pytest.mark.parametrize(("abi", "matrix"), WSL2_MATRICES.items())
def test_setup_prints_the_matrix_on_wsl2_only(setup_on: SetupOn, abi: int, matrix: str) -> None:
    if abi > HOST_ABI:
        pytest.skip(f"the host has Landlock ABI {HOST_ABI}")
    assert matrix in setup_on(wsl2(abi)).stdout
    same_but_native = setup_on(Kernel(notify_busy=True, landlock_abi=abi))
    assert "WSL2" not in same_but_native.stdout.replace("wsl2_proxy_policy", "")


@pytest.mark.skipif(HOST_ABI < 4, reason=f"the host has Landlock ABI {HOST_ABI}")
@pytest.mark.parametrize(
    ("outer", "rung"), [(["--allow-domain", "x.example"], Rung.LANDLOCK), ([], Rung.NOTIFY)], ids=str
)
@pytest.mark.needs("listener")
def test_a_nested_nono_finds_the_listener_taken(ladder_stage: Stage, outer: list[str], rung: Rung) -> None:
    """The EBUSY here is the kernel's own: one chain of filters has room for one listener."""
    package = Path(nono.__file__).parent.parent
    grants = [f"--read={path}" for path in {sys.prefix, sys.base_prefix, str(package)}]
    inner = [NONO, "run", "--dry-run", "-v", "--allow-domain", "x.example", "--", "true"]
    nested = ladder_stage.nono("run", "-s", *grants, *outer, "--", *inner)
    assert nested.returncode == 0, nested.stderr
    assert RUNG_LINES[rung] in nested.stderr.splitlines()
