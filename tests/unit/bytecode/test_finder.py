"""Modules from the file of bytecode are those of the .pyc files, and nothing makes it worse than no file."""

from __future__ import annotations

import os
import random
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import nono
from support.hosted.installed_copy import InstalledCopy, install

# Of nono, of the standard library, and of a library; with packages among them.
NAMES = ["nono.errors", "nono.policy.hosts", "ipaddress", "json", "jeepney", "cryptography.utils"]
LOADERS = """
import importlib, sys
names = NAMES
print(json.dumps({name: type(importlib.import_module(name).__loader__).__name__ for name in names}))
""".replace("NAMES", repr(NAMES))
FACTS = """
import importlib, inspect, pickle, sys, traceback
from importlib import resources
facts = {}
for name in NAMES:
    module = importlib.import_module(name)
    spec = module.__spec__
    facts[name] = [
        module.__name__, module.__package__, module.__file__, module.__cached__, module.__doc__,
        [*getattr(module, "__path__", [])],
        spec.name, spec.origin, spec.cached, spec.parent, spec.has_location,
        spec.submodule_search_locations, spec.loader.name, spec.loader.path, spec.loader.is_package(name),
        spec.loader.get_source(name) == inspect.getsource(module), len(spec.loader.get_data(module.__file__)),
        spec.loader.get_filename(name), spec.loader.get_code(name).co_filename, sorted(vars(module)),
    ]
from nono.errors import NonoError
from nono.policy.capability import Grant
facts["resource"] = len(resources.files("nono.policy").joinpath("data/policy.json").read_bytes())
facts["pickled"] = pickle.dumps(Grant).hex()
facts["reloaded"] = importlib.reload(importlib.import_module("nono.digests")).__file__
try:
    importlib.import_module("nono.errors").no_such_name
except AttributeError as error:
    facts["said"] = str(error)
try:
    importlib.import_module("nono.named_tuple").NamedTuple(1)
except Exception:
    facts["traceback"] = traceback.format_exc()
print(json.dumps(facts))
""".replace("NAMES", repr(NAMES))
ERRORS = "from nono import errors; print(json.dumps([type(errors.__loader__).__name__, errors.__doc__]))"
DOC = '"""Changed."""\n'


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> InstalledCopy:
    copy = install(tmp_path_factory.mktemp("kept"))
    copy.keep()
    return copy


@pytest.fixture
def copy(kept: InstalledCopy) -> Iterator[InstalledCopy]:
    """Yield the same copy for a test that changes it; the changes are undone."""
    file, errors = kept.file.read_bytes(), kept.site / "nono/errors.py"
    source, times = errors.read_bytes(), errors.stat()
    site = kept.site.stat()
    yield kept
    if kept.file.is_symlink() or not kept.file.is_file():
        kept.file.unlink(missing_ok=True)
    kept.file.write_bytes(file)
    kept.file.chmod(0o644)
    errors.write_bytes(source)
    os.utime(errors, ns=(times.st_atime_ns, times.st_mtime_ns))
    os.utime(kept.site, ns=(site.st_atime_ns, site.st_mtime_ns))


def test_modules_come_from_the_file(kept: InstalledCopy) -> None:
    assert kept.printed(LOADERS) == dict.fromkeys(NAMES, "_Loader")


def test_a_module_from_the_file_is_like_one_from_its_pyc_file(copy: InstalledCopy) -> None:
    from_file = copy.printed(FACTS)
    copy.file.unlink()
    assert set(copy.printed(LOADERS).values()) == {"SourceFileLoader"}
    assert copy.printed(FACTS) == from_file


@pytest.mark.parametrize("changes", ["size", "time"])
def test_a_changed_source_is_seen_at_once(changes: str, copy: InstalledCopy) -> None:
    errors = copy.site / "nono/errors.py"
    times = errors.stat()
    assert copy.printed(ERRORS)[0] == "_Loader"
    if changes == "size":
        errors.write_text(DOC + errors.read_text())
    else:
        errors.write_bytes(DOC.encode().ljust(times.st_size, b"\n"))
    later_ns = times.st_mtime_ns + (0 if changes == "size" else 2_000_000_000)
    os.utime(errors, ns=(times.st_atime_ns, later_ns))
    assert copy.printed(ERRORS) == ["SourceFileLoader", "Changed."]


def test_a_removed_source_is_missed(copy: InstalledCopy) -> None:
    copy.python("import nono.digests")
    source = copy.site / "nono/digests.py"
    moved = source.rename(source.with_suffix(".moved"))
    try:
        done = copy.python("import nono.digests")
    finally:
        moved.rename(source)
    assert "ModuleNotFoundError: No module named 'nono.digests'" in done.stderr


def test_a_module_that_goes_before_another_is_found(copy: InstalledCopy) -> None:
    """It changes the directory, as an installation does: then the file was written for another one."""
    planted = copy.site / "ipaddress.py"
    planted.write_text("")
    try:
        origin = copy.printed("import ipaddress; print(json.dumps(ipaddress.__file__))")
    finally:
        planted.unlink()
        shutil.rmtree(copy.site / "__pycache__", ignore_errors=True)
    assert origin == str(planted)


def test_the_directory_of_a_module_has_to_be_searched(kept: InstalledCopy) -> None:
    """As after a run has taken out of sys.path what its command may write."""
    code = (
        "import sys; sys.path[:] = []\ntry: import ipaddress\nexcept ImportError: print(json.dumps('missed'))"
    )
    assert kept.printed(code) == "missed"


def test_another_search_path_has_no_use_for_the_file(kept: InstalledCopy, tmp_path: Path) -> None:
    code = f"sys.meta_path[:] = sys.meta_path[-1:]; sys.path.append({str(tmp_path)!r})\nfinder.install()\n"
    assert kept.printed(f"{code}print(json.dumps(len(sys.meta_path)))") == 1


def cut(content: bytes, chance: random.Random) -> bytes:
    return content[: chance.randrange(len(content))]


def cut_head(content: bytes, chance: random.Random) -> bytes:
    return content[: chance.randrange(64)]


def flip(content: bytes, chance: random.Random) -> bytes:
    """Change one bit in every kilobyte."""
    changed = bytearray(content)
    for start in range(0, len(changed), 1024):
        changed[min(start + chance.randrange(1024), len(changed) - 1)] ^= 1 << chance.randrange(8)
    return bytes(changed)


def flip_head(content: bytes, chance: random.Random) -> bytes:
    changed = bytearray(content)
    changed[chance.randrange(64)] ^= 1 << chance.randrange(8)
    return bytes(changed)


def zero_pages(content: bytes, chance: random.Random) -> bytes:
    """Leave pages out that a power cut kept from the disk, but not the head."""
    changed = bytearray(content)
    for start in range(1 << 18, len(changed), 4096):
        if chance.random() < 0.5:
            changed[start : start + 4096] = bytes(len(changed[start : start + 4096]))
    return bytes(changed)


def swap(content: bytes, chance: random.Random) -> bytes:
    middle = chance.randrange(12, len(content))
    return content[:12] + content[middle:] + content[12:middle]


def noise(content: bytes, chance: random.Random) -> bytes:
    return content[:12] + chance.randbytes(1 << 16)


@pytest.mark.parametrize("spoil", [cut, cut_head, flip, flip_head, zero_pages, swap, noise])
def test_a_spoiled_file_is_no_worse_than_none(
    spoil: Callable[[bytes, random.Random], bytes], copy: InstalledCopy
) -> None:
    good = copy.file.read_bytes()
    for seed in range(6):
        copy.file.write_bytes(spoil(good, random.Random(seed)))
        done = copy.nono("--version")
        assert (done.returncode, done.stdout, done.stderr) == (0, f"nono {nono.__version__}\n", ""), seed


def test_a_file_for_another_python_is_ignored(copy: InstalledCopy) -> None:
    good = copy.file.read_bytes()
    copy.file.write_bytes(bytes([good[0] ^ 1]) + good[1:])
    assert set(copy.printed(LOADERS).values()) == {"SourceFileLoader"}


@pytest.mark.parametrize(
    "kind", ["fifo", "link", "directory", "writable for the group", "writable for others"]
)
def test_what_is_no_file_of_the_owner_alone_is_ignored(kind: str, copy: InstalledCopy) -> None:
    elsewhere = copy.file.with_name("elsewhere")
    if kind.startswith("writable"):
        copy.file.chmod(0o664 if kind.endswith("group") else 0o646)
    else:
        copy.file.rename(elsewhere)
    if kind == "fifo":
        os.mkfifo(copy.file)
    elif kind == "link":
        copy.file.symlink_to(elsewhere)
    elif kind == "directory":
        copy.file.mkdir()
    loaders = copy.printed(LOADERS)
    if kind == "directory":
        copy.file.rmdir()
    elsewhere.unlink(missing_ok=True)
    assert set(loaders.values()) == {"SourceFileLoader"}


@pytest.mark.root
def test_a_file_of_another_owner_is_ignored(copy: InstalledCopy) -> None:
    os.chown(copy.file, 65534, -1)
    loaders = copy.printed(LOADERS)
    os.chown(copy.file, os.geteuid(), -1)
    assert set(loaders.values()) == {"SourceFileLoader"}


@pytest.mark.parametrize(
    ("flags", "environ"),
    [
        pytest.param(("-I", "-B"), {}, id="-B"),
        pytest.param(("-I", "-O"), {}, id="-O"),
        pytest.param((), {"PYTHONDONTWRITEBYTECODE": "1"}, id="PYTHONDONTWRITEBYTECODE"),
        pytest.param((), {"PYTHONPYCACHEPREFIX": "elsewhere"}, id="PYTHONPYCACHEPREFIX"),
        pytest.param((), {"PYTHONPATH": "/nonexistent"}, id="PYTHONPATH"),
    ],
)
def test_it_is_not_written_where_python_writes_no_pyc_file_there(
    flags: tuple[str, ...], environ: dict[str, str], copy: InstalledCopy
) -> None:
    """Or where modules are looked for elsewhere. An isolated Python takes nothing from the environment."""
    copy.file.unlink()
    copy.keep(flags, environ)
    assert not copy.file.exists()
    copy.keep(("-I",), environ)
    assert copy.file.exists()


def test_it_is_written_whole_or_not_at_all(copy: InstalledCopy) -> None:
    good = copy.file.read_bytes()
    broken = copy.site / "nono/sandbox/become_command.py"
    source, times = broken.read_bytes(), broken.stat()
    broken.write_text("raise ImportError\n")
    try:
        copy.keep()
    finally:
        broken.write_bytes(source)
        os.utime(broken, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert copy.file.read_bytes() == good
    assert [name for name in os.listdir(copy.file.parent) if "start" in name] == [copy.file.name]


# Counts the processes that fill the file, each of which takes 0.4 s.
COUNTED = """
import json, resource, subprocess
started = []
class Counted(subprocess.Popen):
    def __init__(self, *arguments, **more):
        started.append(1)
        super().__init__(*arguments, **more)
subprocess.Popen = Counted
from nono.bytecode import writer
"""
KEPT = "if finder.is_wanting(): writer.keep()\nprint(json.dumps(len(started)))"


def test_nothing_is_tried_on_a_full_disk(copy: InstalledCopy) -> None:
    copy.file.unlink()
    full = "resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))\n"
    assert copy.printed(COUNTED + full + KEPT) == 0
    assert [name for name in os.listdir(copy.file.parent) if "start" in name] == []
    assert copy.printed(COUNTED + KEPT) == 1
    assert copy.file.stat().st_size == len(copy.file.read_bytes()) < 16 << 20


@pytest.mark.parametrize("may_write", [True, False])
def test_nothing_is_tried_where_the_directory_cannot_be_written(may_write: bool, copy: InstalledCopy) -> None:
    asked = f"import os, json\nos.access = lambda path, mode: {may_write}\n"
    assert copy.printed(f"{asked}print(json.dumps(finder.may_be_written()))") is may_write


def test_a_failure_is_repeated_after_a_day(copy: InstalledCopy) -> None:
    copy.file.unlink()
    broken = copy.site / "nono/sandbox/become_command.py"
    source = broken.read_bytes()
    broken.write_text("raise ImportError\n")
    assert [copy.printed(COUNTED + KEPT) for _ in range(3)] == [1, 0, 0]
    broken.write_bytes(source)
    assert copy.printed(COUNTED + KEPT) == 0
    yesterday = time.time() - 86401
    os.utime(copy.file, (yesterday, yesterday))
    assert copy.printed(COUNTED + KEPT) == 1
    assert copy.file.stat().st_size > 1 << 20


def test_it_is_readable_as_the_source_is_and_written_by_its_owner(copy: InstalledCopy) -> None:
    source = copy.site / "nono/bytecode/finder.py"
    for mode, expected in ((0o664, 0o644), (0o600, 0o600)):
        source.chmod(mode)
        copy.keep()
        assert copy.file.stat().st_mode & 0o7777 == expected


RESIDENT = """
import re
def resident():
    mappings = open("/proc/self/smaps").read()
    [kib] = re.findall(r"start[.].*[.]bytecode\\n(?:.*\\n)*?Rss: +([0-9]+)", mappings)
    return int(kib)
before = resident()
finder.unload()
after = resident()
from nono import errors
print(json.dumps([before > 0, after, type(errors.__loader__).__name__, resident() > 0]))
"""


def test_a_process_that_waits_holds_no_page_of_the_file(kept: InstalledCopy) -> None:
    assert kept.printed(RESIDENT) == [True, 0, "_Loader", True]
