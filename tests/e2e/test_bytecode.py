"""A run leaves the file of bytecode, from which later starts import all they need."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest

from support.hosted.installed_copy import InstalledCopy, install
from support.sessions.detached import wait_until
from support.sessions.own_terminal import children

TRUE = ("--", "true")
# Of all imports of a start, in each of its processes, those of a source that the file lacks.
LACKED = """
import importlib.machinery, importlib.util, sys
[one] = [each for each in sys.meta_path if isinstance(each, finder.Finder)]
lacked = []
for name in NAMES:
    if name not in one._index:
        try:
            spec = importlib.util.find_spec(name)
        except (ImportError, ValueError):
            continue
        if spec is not None and isinstance(spec.loader, importlib.machinery.SourceFileLoader):
            lacked.append(name)
print(json.dumps(lacked))
"""
# Python imports them before nono's first line.
EARLY = {"nono.__main__", "site", "sitecustomize"}


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> InstalledCopy:
    return install(tmp_path_factory.mktemp("installed"))


def test_a_run_leaves_the_file_and_the_next_keeps_it(copy: InstalledCopy) -> None:
    copy.file.unlink(missing_ok=True)
    assert copy.nono("wrap", "-s", *TRUE).returncode == 0
    assert not copy.file.exists()  # nothing waits until a wrapped command has ended
    first = copy.nono("run", "-s", *TRUE)
    assert (first.returncode, first.stdout, first.stderr) == (0, "", "")
    written = copy.file.stat()
    assert copy.nono("run", "-s", *TRUE).returncode == 0
    assert copy.file.stat().st_ino == written.st_ino


def test_a_run_renews_what_is_mostly_stale(copy: InstalledCopy) -> None:
    copy.keep()
    written = copy.file.stat()
    for source in (copy.site / "nono/policy").rglob("*.py"):
        source.write_text(source.read_text() + "\n")
    assert copy.nono("run", "-s", *TRUE).returncode == 0
    assert copy.file.stat().st_ino != written.st_ino


def test_a_run_that_may_not_write_bytecode_leaves_none(copy: InstalledCopy) -> None:
    copy.file.unlink(missing_ok=True)
    assert copy.nono("run", "-s", *TRUE, flags=("-I", "-B")).returncode == 0
    assert not copy.file.exists()


def test_what_a_command_left_in_the_working_directory_is_not_imported(copy: InstalledCopy) -> None:
    """`python -m nono` looks there first, until a run is granted the directory; so does another Python."""
    copy.file.unlink(missing_ok=True)
    copy.nono("--version", flags=())
    names = " ".join(("encodings", "importlib", "json", "marshal", "pkgutil", "runpy", "site", "subprocess"))
    plant = f'for name in {names}; do echo \'open("/proc/self/cwd/escaped", "w")\' > $name.py; done'
    done = copy.nono("run", "-s", f"--allow={copy.project}", "--", "sh", "-c", plant, flags=())
    escaped = (copy.project / "escaped").exists()
    shutil.rmtree(copy.project)
    assert (done.returncode, done.stderr, escaped) == (0, "", False)
    assert copy.file.exists()


def test_the_process_in_front_imports_no_more_from_the_working_directory_either(copy: InstalledCopy) -> None:
    """At a terminal it writes the file, and has not resolved what the command may write."""
    copy.file.unlink(missing_ok=True)
    for name in ("pkgutil", "subprocess"):
        (copy.project / f"{name}.py").write_text("raise SystemExit('planted')\n")
    done = copy.python("from nono.cli.commands.run.command import _keep_bytecode; _keep_bytecode()", flags=())
    shutil.rmtree(copy.project)
    assert (done.returncode, done.stderr, copy.file.exists()) == (0, "", True)


def test_no_file_is_written_for_a_path_with_a_directory_of_others(copy: InstalledCopy) -> None:
    """As a project that is installed for editing beside nono."""
    copy.file.unlink(missing_ok=True)
    code = "sys.path.append('/opt/project'); finder.install()\n"
    code += "from nono.cli.commands.run.command import _keep_bytecode; _keep_bytecode()"
    assert copy.python(code).returncode == 0
    assert not copy.file.exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ("wrap", "--allow-cwd"),
        ("run", "--allow-cwd"),
        ("run", "--profile", "claude-code"),
        pytest.param(("run", "--profile", "codex"), marks=pytest.mark.needs("listener")),
    ],
    ids=" ".join,
)
def test_a_start_finds_all_its_modules_in_the_file(arguments: tuple[str, ...], copy: InstalledCopy) -> None:
    if not copy.file.exists():
        copy.keep()
    environ = {"OPENAI_API_KEY": "sk-canary-of-a-start-000000", "ANTHROPIC_API_KEY": "sk-ant-canary-000000"}
    code = "from nono.__main__ import main; sys.exit(main())"
    done = copy.python(code, *arguments, *TRUE, flags=("-I", "-X", "importtime"), environ=environ)
    assert done.returncode == 0, done.stderr
    names = set(re.findall(r"^import time: .*\| +(\S+)$", done.stderr, re.MULTILINE)) - EARLY
    assert {"nono.cli.main", "nono.policy.capability"} <= names
    assert copy.printed(LACKED.replace("NAMES", repr(sorted(names)))) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may look at the memory of a supervisor")
@pytest.mark.parametrize("options", [(), ("--allow-domain", "api.example.com")], ids=["plain", "proxy"])
def test_a_run_that_waits_holds_no_page_of_the_file(copy: InstalledCopy, options: tuple[str, ...]) -> None:
    """Its pages count for each process in what tools show of memory."""
    copy.keep()
    with copy.started("run", "-s", *options, "--", "sh", "-c", "echo up; read line") as run:
        assert run.stdout is not None
        assert run.stdout.readline() == "up\n"
        tree = [run.pid, *children(run.pid)]
        wait_until(lambda: not any(resident_kib(pid, copy.file) for pid in tree), "the pages stay")


def resident_kib(pid: int, file: Path) -> int:
    """Return the resident memory, in KiB, of a file that a process has mapped."""
    resident, is_of_file = 0, False
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        if re.match(r"[0-9a-f]+-", line):
            is_of_file = line.endswith(str(file))
        elif is_of_file and line.startswith("Rss:"):
            resident += int(line.split()[1])
    return resident
