"""A frozen program that is missing is built in memory; one that was changed is found by a fresh build."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from nono.errors import SandboxError
from nono.kernel import filters
from nono.kernel.filters import build, freeze
from nono.kernel.filters.bpf import PROGRAMS
from nono.kernel.filters.freeze import compare
from nono.kernel.filters.rules import Program
from nono.sandbox import probe
from support.forked import in_child

MACHINE = os.uname().machine


@pytest.fixture
def shipped_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filters, "DIRECTORY", str(tmp_path / "none"))


@pytest.fixture
def without_libseccomp(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "LIBRARY", "libseccomp.so.none")
    monkeypatch.delitem(sys.modules, "pyseccomp", raising=False)


@pytest.fixture
def frozen_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the programs of this machine, frozen by the libseccomp of this machine."""
    for module in (filters, freeze):
        monkeypatch.setattr(module, "DIRECTORY", str(tmp_path))
    monkeypatch.setattr(freeze, "VERSION_FILE", str(tmp_path / "libseccomp.version"))
    freeze.freeze()
    return tmp_path / MACHINE


def refusal(call: Callable[[], object]) -> str:
    with pytest.raises(SandboxError) as caught:
        call()
    return caught.value.message


@pytest.mark.usefixtures("shipped_nowhere")
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
def test_a_missing_program_is_built(program: Program) -> None:
    assert filters.load(program.name) == build.build(program, MACHINE)


@pytest.mark.usefixtures("shipped_nowhere")
def test_a_built_program_is_left_in_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    filters.load("notify")
    assert list(tmp_path.iterdir()) == []


def test_a_machine_without_frozen_programs_enforces_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frozen = in_child(lambda: probe.host_facts(network=True).to_message())
    monkeypatch.setattr(filters, "DIRECTORY", str(tmp_path))
    assert in_child(lambda: probe.host_facts(network=True).to_message()) == frozen


def test_a_machine_with_frozen_programs_loads_no_library() -> None:
    code = "import sys; from nono.kernel import filters; filters.load('notify'); print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=20
    )
    assert {"pyseccomp", "nono.kernel.filters.bpf", "ctypes.util"} & set(done.stdout.split()) == set()


@pytest.mark.usefixtures("shipped_nowhere", "without_libseccomp")
def test_without_libseccomp_a_missing_program_is_a_sentence() -> None:
    assert refusal(lambda: filters.load("notify")) == (
        f"Sandbox initialization failed: no seccomp filter for {MACHINE} is shipped, and none can be built: "
        "libseccomp is not installed (Debian, Ubuntu: apt install libseccomp2)."
    )


def test_a_machine_whose_calls_are_not_known_is_a_sentence() -> None:
    said = refusal(lambda: filters.load("tcp_only", "riscv64"))
    assert "riscv64" in said
    assert said.endswith("nono does not know the system calls of this machine.")


@pytest.mark.usefixtures("without_libseccomp")
def test_no_compiler_on_the_path_is_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("gcc", "cc", "ld", "objdump", "ldconfig"):
        (tmp_path / name).write_text(f"#!/bin/sh\n: > {tmp_path}/started\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ImportError, match="libseccomp is not installed"):
        build.libseccomp_version()
    assert not (tmp_path / "started").exists()


@pytest.mark.usefixtures("frozen_here")
def test_a_frozen_program_is_what_the_same_libseccomp_builds() -> None:
    found = compare(MACHINE)
    assert (found.different, found.missing, found.is_tampered) == ((), (), False)
    assert found.frozen_with == found.built_with


def test_a_changed_program_is_found(frozen_here: Path) -> None:
    program = bytearray((frozen_here / "notify.bpf").read_bytes())
    program[-4] ^= 1  # in what its last instruction returns
    (frozen_here / "notify.bpf").write_bytes(program)
    found = compare(MACHINE)
    assert (found.different, found.is_tampered) == (("notify",), True)


def test_a_removed_program_is_found(frozen_here: Path) -> None:
    (frozen_here / "notify.bpf").unlink()
    found = compare(MACHINE)
    assert (found.missing, found.is_tampered) == (("notify",), False)


def test_another_order_of_another_libseccomp_is_no_change(frozen_here: Path) -> None:
    (frozen_here / "notify.bpf").write_bytes(b"arranged otherwise")
    Path(freeze.VERSION_FILE).write_text("2.5.0\n")
    found = compare(MACHINE)
    assert (found.different, found.is_tampered) == (("notify",), False)
