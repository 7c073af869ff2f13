"""nono.policy.why.starting: why the kernel did not start a program."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from nono.policy.effective_policy import EffectivePolicy, effective_policy_of
from nono.policy.path_expansion import Filesystem
from nono.policy.resolve import Resolved
from nono.policy.schema.profile import Filesystem as FilesystemEntries
from nono.policy.schema.profile import Profile
from nono.policy.why.program_file import ProgramFile
from nono.policy.why.starting import OwnPlaces, Part, Why, why_not_started

HOME = "/home/ada"
ELF, SHELL = ProgramFile("x86_64"), ProgramFile(None, "/bin/sh")
TOOL, GRANTED, DENIED = f"{HOME}/tools/x", f"{HOME}/work/x", f"{HOME}/work/secret"
VENV, PYTHON = f"{HOME}/venv", f"{HOME}/python/bin/python3"
SHIM = f"{HOME}/shims/cargo"
OWN = OwnPlaces(("/tmp",), ("/tmp/shown",))


def part(path: str | None, file: ProgramFile = ELF, name: str | None = None, **more: bool) -> Part:
    runs, noexec, closed = more.get("runs", True), more.get("noexec", False), more.get("closed", False)
    return Part(name or str(path), path, runs, noexec, file, closed)


def places_of(path: str) -> tuple[str, ...]:
    if path == SHIM:
        return (f"{HOME}/shims", f"{HOME}/toolchains", f"{HOME}/work")  # the last is granted
    return (VENV,) if path.startswith(f"{VENV}/") else ()


@pytest.fixture
def rules(run: Callable[..., Resolved], make_fs: Callable[..., Filesystem]) -> EffectivePolicy:
    fs = make_fs(files=(TOOL, GRANTED, DENIED, "/tmp/x", "/tmp/shown/x", f"{HOME}/letter"))
    profile = Profile(filesystem=FilesystemEntries(deny=(DENIED,)))
    resolved = run(profile, fs=fs, allow=(".",), read=("/tmp",))
    return effective_policy_of(resolved, fs)


@pytest.mark.parametrize(
    ("parts", "why"),
    [
        ([part(TOOL)], Why("it is not granted", f"--read-file {TOOL}")),
        ([part(TOOL, name=GRANTED)], Why(f"it is {TOOL}, which is not granted", f"--read-file {TOOL}")),
        ([part(SHIM)], Why("it is not granted", f"--read {HOME}/shims --read {HOME}/toolchains")),
        ([part(DENIED)], Why("it is denied by the profile, filesystem.deny", f"nono why {DENIED}")),
        (
            [part("/tmp/x")],
            Why("the command has a /tmp of its own, where it is not", "--read-file /tmp/x"),
        ),
        (
            [part(GRANTED, SHELL), part(TOOL)],
            Why(f"its interpreter {TOOL} is not granted", f"--read-file {TOOL}"),
        ),
        (
            [part(f"{VENV}/bin/x", SHELL), part(PYTHON), part(GRANTED), part(TOOL)],
            Why("it is not granted", f"--read {VENV} --read-file {PYTHON} --read-file {TOOL}"),
        ),
        (
            [part(f"{VENV}/bin/x", SHELL), part(DENIED), part(f"{HOME}/letter", runs=False)],
            Why("it is not granted", f"--read {VENV}"),
        ),
        ([part(GRANTED, SHELL), part(None, name="/no/sh")], Why("its interpreter /no/sh does not exist")),
        (
            [part(GRANTED, SHELL), part(None, name="/closed/sh", closed=True)],
            Why(
                "its interpreter /closed/sh cannot be reached: a directory that leads to it is closed to you"
            ),
        ),
        (
            [part(GRANTED), part(None, name="/lib/ld-musl.so")],
            Why(
                "its interpreter /lib/ld-musl.so does not exist",
                "it was built for another system, such as one with musl instead of glibc",
            ),
        ),
        (
            [part(GRANTED, ProgramFile(None, "/bin/sh\r", True)), part(None, name="/bin/sh\r")],
            Why(
                "its first line ends with a carriage return, as in files from Windows",
                f"sed -i 's/\\r$//' {GRANTED}",
            ),
        ),
        (
            [part(GRANTED, ProgramFile("aarch64"))],
            Why("it is a program for aarch64, and this machine is x86_64"),
        ),
        (
            [part(GRANTED, ProgramFile())],
            Why("it is neither a program nor a script with a #! line", f"nono run -- sh {GRANTED}"),
        ),
        (
            [part(GRANTED, runs=False, noexec=True)],
            Why("it cannot be executed on its file system, which is mounted noexec"),
        ),
    ],
    ids=[
        "outside", "link out", "shim", "denied", "own /tmp", "interpreter outside", "environment",
        "environment of a denied interpreter", "no interpreter", "closed interpreter", "no loader",
        "CRLF", "other machine", "neither", "noexec",
    ],
)  # fmt: skip
def test_the_reason_is_found(rules: EffectivePolicy, parts: list[Part], why: Why) -> None:
    assert why_not_started(parts, rules, OWN, "x86_64", places_of) == why


@pytest.mark.parametrize(
    "parts", [[part(GRANTED)], [part("/tmp/shown/x")], [part(GRANTED, ProgramFile("i386"))]]
)
def test_of_a_program_that_lacks_nothing_nothing_is_told(rules: EffectivePolicy, parts: list[Part]) -> None:
    assert why_not_started(parts, rules, OWN, "x86_64", places_of) is None


def test_no_file_is_offered_because_a_script_calls_it_its_interpreter(rules: EffectivePolicy) -> None:
    letter = part(f"{HOME}/letter", ProgramFile(), runs=False)
    why = why_not_started([part(GRANTED, SHELL), letter], rules, OWN, "x86_64", places_of)
    assert why == Why(f"its interpreter {HOME}/letter cannot be executed")
