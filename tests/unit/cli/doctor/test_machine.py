"""What `nono doctor` makes of a machine."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest

from nono.cli.commands import doctor
from nono.cli.doctor.finding import Finding, Mark, finding_entry, finding_lines
from nono.cli.doctor.look import Seen, StateFault, settings_fault, state_fault
from nono.cli.doctor.machine import machine
from nono.cli.main import main
from nono.kernel.filters.freeze import Comparison
from nono.private_dir import open_private_dir
from nono.sandbox.plan.facts import Listener, NamespaceFacts
from nono.supervisor.limits.placement import Place, Unavailable
from support.host_facts import NATIVE, WSL2

GOOD = Seen(
    NATIVE._replace(own_namespaces=None),
    has_tcp_rules=True,
    has_filter=True,
    programs=Comparison(13, (), (), "2.6.0", "2.6.0"),
    limits=(("--memory", Place("/sys/fs/cgroup", ("/sys/fs/cgroup",), frozenset(), is_left=False)),),
    state="/home/me/.local/state/nono",
)
ON_V1 = Unavailable("cgroup v1 holds memory here", "start the system anew")
RESTRICTED = NamespaceFacts("unshare(CLONE_NEWUSER): EPERM", apparmor_restricts=True)


def without(**facts: Any) -> Seen:
    return GOOD._replace(facts=GOOD.facts._replace(**facts))


def marks(seen: Seen) -> dict[str, Mark]:
    return {finding.check: finding.mark for finding in machine(seen)}


def test_a_state_directory_that_a_run_makes_or_uses_has_no_fault(tmp_path: Path) -> None:
    root = tmp_path / "state/nono"
    assert state_fault(str(root)) is None
    assert not root.exists()
    (root / "audit").mkdir(parents=True, mode=0o755)
    assert state_fault(str(root)) is None


@pytest.mark.parametrize("mode", [0o770, 0o707])
def test_a_state_directory_in_which_others_write_is_to_be_narrowed(mode: int, tmp_path: Path) -> None:
    tmp_path.chmod(mode)
    fault = state_fault(str(tmp_path))
    assert fault == StateFault(str(tmp_path), "other users may write to the directory", "narrow")
    findings = {each.check: each for each in machine(GOOD._replace(state_fault=fault))}
    assert findings["records"].remedy == f"chmod 700 {tmp_path}"


@pytest.mark.parametrize("name", [".", "audit", "sessions"])
def test_a_state_directory_that_a_run_refuses_is_a_fault(name: str, tmp_path: Path) -> None:
    root = tmp_path / "nono"
    directory = root / name
    directory.mkdir(parents=True, exist_ok=True)
    directory.chmod(0o777)
    path = os.path.normpath(directory)
    assert state_fault(str(root)) == StateFault(path, "other users may write to the directory", "narrow")
    with pytest.raises(PermissionError, match="other users may write"):
        open_private_dir(path, create=True)
    directory.rmdir()
    directory.symlink_to("/tmp")
    assert state_fault(str(root)) == StateFault(path, "it is a link", "move")


@pytest.mark.parametrize("lacking", [os.W_OK, os.X_OK])
def test_a_place_where_no_state_directory_can_be_made_is_a_fault(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, lacking: int
) -> None:
    root = str(tmp_path / "state/nono")
    monkeypatch.setattr(os, "access", lambda path, mode: path != str(tmp_path) or not mode & lacking)
    assert state_fault(root) == StateFault(root, f"this user may not write to {tmp_path}", "elsewhere")


@pytest.mark.parametrize("is_made", [True, False])
@pytest.mark.parametrize(
    ("code", "is_fault"),
    [(errno.ENOSPC, True), (errno.EDQUOT, True), (errno.EFBIG, True), (errno.EOPNOTSUPP, False)],
)
@pytest.mark.parametrize("call", ["open", "posix_fallocate"])
def test_a_disk_that_takes_no_further_file_is_a_fault(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, call: str, code: int, is_fault: bool, is_made: bool
) -> None:
    root = tmp_path if is_made else tmp_path / "state/nono"

    def refused(*arguments: object) -> int:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, call, refused)
    fault = state_fault(str(root))
    assert fault == (StateFault(str(root), os.strerror(code), "free") if is_fault else None)
    findings = {each.check: each for each in machine(GOOD._replace(state_fault=fault))}
    assert (findings["records"].mark is Mark.MISSING) is is_fault
    assert str(findings["records"].remedy).startswith("free space there") is is_fault


def test_settings_that_a_run_refuses_are_missing(tmp_path: Path) -> None:
    environ = {"XDG_CONFIG_HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path / "state")}
    file = tmp_path / "nono/config.toml"
    assert settings_fault(environ) == ""
    file.parent.mkdir()
    file.write_text("[ui]\nnotify = false\n")
    assert settings_fault(environ) == ""
    file.write_text("[ui]\nnotify = 7\n")
    fault = settings_fault(environ)
    assert str(file) in fault
    (finding,) = (each for each in machine(GOOD._replace(settings_fault=fault)) if each.check == "settings")
    assert (finding.mark, finding.meaning) == (Mark.MISSING, f"no run starts: {fault}")
    assert "settings" not in marks(GOOD)


def test_a_state_directory_of_another_user_is_a_fault(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    owner = os.stat(tmp_path).st_uid
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    fault = state_fault(str(tmp_path))
    assert fault == StateFault(str(tmp_path), f"the directory belongs to uid {owner}", "move")
    findings = {each.check: each for each in machine(GOOD._replace(state_fault=fault))}
    assert findings["records"].mark is Mark.MISSING
    assert str(findings["records"].remedy).startswith(f"mv {tmp_path} {tmp_path}.old")


def test_a_machine_that_has_everything_is_ok_throughout() -> None:
    assert set(marks(GOOD).values()) == {Mark.OK}
    assert [finding for finding in machine(GOOD) if finding.remedy] == []


@pytest.mark.parametrize(
    ("seen", "changed"),
    [
        pytest.param(
            without(landlock_abi=0),
            {"landlock": Mark.MISSING, "network by proxy": Mark.MISSING},
            id="no Landlock",
        ),
        pytest.param(without(landlock_abi=3), {"landlock": Mark.WARN}, id="no ports"),
        pytest.param(
            GOOD._replace(has_tcp_rules=False, has_filter=False),
            {"network off": Mark.MISSING},
            id="no seccomp",
        ),
        pytest.param(
            without(listener=Listener.UNAVAILABLE, listener_detail="pidfd_getfd: EPERM"),
            {"seccomp listener": Mark.WARN, "network by proxy": Mark.WARN},
            id="no listener",
        ),
        pytest.param(
            GOOD._replace(facts=WSL2),
            {"landlock": Mark.WARN, "seccomp listener": Mark.WARN, "network by proxy": Mark.MISSING},
            id="WSL2",
        ),
        pytest.param(without(own_namespaces=RESTRICTED), {"namespaces": Mark.WARN}, id="AppArmor"),
        pytest.param(
            without(network_namespace=False, namespaces=RESTRICTED),
            {"private network": Mark.WARN},
            id="no netns",
        ),
        pytest.param(
            GOOD._replace(programs=GOOD.programs._replace(different=("notify",))),  # type: ignore[union-attr]  # one
            {"seccomp programs": Mark.MISSING},
            id="tampered",
        ),
        pytest.param(
            GOOD._replace(programs="no libseccomp"), {"seccomp programs": Mark.WARN}, id="not verified"
        ),
        pytest.param(GOOD._replace(limits=(("--memory", ON_V1),)), {"--memory": Mark.WARN}, id="cgroup v1"),
    ],
)
def test_what_a_machine_lacks_is_told_with_its_remedy(seen: Seen, changed: dict[str, Mark]) -> None:
    assert marks(seen) == {**marks(GOOD), **changed}
    assert [each for each in machine(seen) if (each.remedy is None) != (each.mark is Mark.OK)] == []


@pytest.mark.parametrize(
    ("seen", "check", "words"),
    [
        pytest.param(
            without(landlock_abi=3),
            "landlock",
            ("no rules for TCP ports, ioctls of devices, signals", "Linux 6.12 or newer has them all"),
            id="the newest of the kernels",
        ),
        pytest.param(
            without(landlock_abi=5), "landlock", ("no rules for signals", "Linux 6.12 or newer"), id="one"
        ),
        pytest.param(
            GOOD._replace(has_filter=False), "network off", ("enforced by Landlock", None), id="ports alone"
        ),
        pytest.param(
            GOOD._replace(has_tcp_rules=False),
            "network off",
            ("enforced by a seccomp filter", None),
            id="the filter alone",
        ),
        pytest.param(
            without(listener=Listener.BUSY), "seccomp listener", ("", "outside of containers"), id="busy"
        ),
        pytest.param(
            without(listener=Listener.BUSY, is_wsl2=True), "seccomp listener", ("", "WSL#9548"), id="WSL2"
        ),
        pytest.param(
            without(own_namespaces=NamespaceFacts("unshare", max_net_namespaces=0, max_mnt_namespaces=0)),
            "namespaces",
            ("user.max_mnt_namespaces is 0", "sysctl -w user.max_mnt_namespaces=1000"),
            id="mounts",
        ),
        pytest.param(
            GOOD._replace(programs=Comparison(13, ("a",), ("b", "c"), "2.5.0", "2.6.0")),
            "seccomp programs",
            ("2 of 13 are built by libseccomp 2.6.0", None),
            id="not shipped",
        ),
        pytest.param(
            GOOD._replace(programs=Comparison(13, ("a", "b"), (), "2.5.0", "2.6.0")),
            "seccomp programs",
            ("11 of 13 verified; libseccomp 2.6.0", None),
            id="another libseccomp",
        ),
    ],
)
def test_a_finding_names_its_own_cause_and_remedy(
    seen: Seen, check: str, words: tuple[str, str | None]
) -> None:
    (finding,) = [each for each in machine(seen) if each.check == check]
    meaning, remedy = words
    assert meaning in finding.meaning
    assert finding.remedy is None if remedy is None else remedy in str(finding.remedy)
    assert finding_entry(finding) == {**finding._asdict(), "mark": finding.mark.value}


@pytest.mark.parametrize(
    ("has_private_network", "landlock_abi", "is_held"),
    [(True, 3, True), (False, 3, False), (True, 0, False)],
)
def test_a_fallback_without_enforcement_is_named_only_where_no_other_is_left(
    has_private_network: bool, landlock_abi: int, is_held: bool
) -> None:
    facts = WSL2._replace(network_namespace=has_private_network, landlock_abi=landlock_abi)
    (remedy,) = [
        each.remedy for each in machine(GOOD._replace(facts=facts)) if each.check == "network by proxy"
    ]
    assert remedy is not None
    assert ("netns" in remedy, "insecure_proxy" in remedy) == (is_held, not is_held)


@pytest.mark.parametrize(
    ("seen", "status"), [(GOOD, 0), (without(listener=Listener.BUSY), 0), (without(landlock_abi=0), 1)]
)
def test_only_what_is_missing_fails(
    seen: Seen, status: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(doctor, "look", lambda environ: seen)
    assert main(["doctor"]) == status
    out = capsys.readouterr().out
    assert ("Nothing needed is missing." in out) == (status == 0)
    assert main(["doctor", "--json"]) == status
    document = json.loads(capsys.readouterr().out)
    assert document["ok"] == (status == 0)


def test_the_document_has_its_shape(capsys: pytest.CaptureFixture[str]) -> None:
    main(["doctor", "--json"])
    document = json.loads(capsys.readouterr().out)
    assert list(document) == ["format", "nono", "ok", "machine"]
    assert document["format"] == 1
    for entry in document["machine"]:
        assert list(entry) == ["check", "mark", "meaning", "remedy"]
        assert entry["mark"] in {"ok", "warn", "missing"}


def test_lines_are_plain_words_of_eighty_columns(capsys: pytest.CaptureFixture[str]) -> None:
    main(["doctor"])
    out = capsys.readouterr().out
    assert out.isascii()
    assert [line for line in out.splitlines() if len(line) > 80] == []


def test_what_a_finding_quotes_cannot_steer_a_terminal() -> None:
    finding = Finding("x\x1b[2J", Mark.WARN, "a\x1b]0;b\x07", "c\x1b[1m")
    assert [line for line in finding_lines(finding) if not line.isprintable()] == []
