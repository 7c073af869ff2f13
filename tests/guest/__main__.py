"""`python -m guest [VERSION...]`: run tests on real kernels and print one table of the results."""

from __future__ import annotations

import argparse
import compileall
import os
import platform
import shlex
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from shutil import which
from tempfile import TemporaryDirectory

from guest import debian, image, machine, matrix
from guest.apt import NoGuestError
from guest.architecture import ARCHITECTURES, Architecture
from guest.selection import SELECTIONS, USERS, Task

CACHE = image.ROOT / ".guest"
STARTUP_S = 300  # beside the tests: unpacking, and what nono says of the kernel


def main(argv: Sequence[str]) -> int:
    """Return 0 if every guest did all it should, 1 if one did not, 2 if none could be started."""
    parser = argparse.ArgumentParser(prog="guest", description=__doc__)
    parser.add_argument("--selection", choices=SELECTIONS, default="full")
    parser.add_argument("--tests", help="of pytest, instead of a selection")
    parser.add_argument(
        "--user", choices=USERS, action="append", help="who runs them; else all of the selection"
    )
    parser.add_argument("--machine", choices=ARCHITECTURES, default="x86_64", help="else: %(default)s")
    parser.add_argument("--processors", type=int, help="of each guest; else as the selection has it")
    parser.add_argument("-v", "--verbose", action="store_true", help="say why tests were skipped")
    known = [release.version for release in debian.RELEASES]
    parser.add_argument("versions", metavar="VERSION", nargs="*", help=f"of {', '.join(known)}; else all")
    given = parser.parse_args(argv)
    if unknown := set(given.versions) - set(known):
        parser.error(f"no such kernel: {', '.join(sorted(unknown))} (there are {', '.join(known)})")
    chosen = [
        release for release in debian.RELEASES if not given.versions or release.version in given.versions
    ]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # by the way that ends guests and removes files
    try:
        architecture = ARCHITECTURES[given.machine]
        _install_what_is_missing(architecture)
        (cache := CACHE / architecture.name).mkdir(parents=True, exist_ok=True)
        kernels = {release: debian.kernel(release, architecture, cache) for release in chosen}
        reports = _run(architecture, kernels, _tasks(given))
    except NoGuestError as error:
        print(f"no guests: {error}", file=sys.stderr)
        return 2
    for report in reports:
        for complaint in report.complaints:
            print(f"--- {report.kernel}, {report.user}: {complaint}")
        if given.verbose:
            for why, count in report.skips.items():
                print(f"--- {report.kernel}, {report.user}: {count} skipped: {why}")
    print(matrix.table(reports))
    return 1 if any(report.complaints for report in reports) else 0


def _tasks(given: argparse.Namespace) -> list[Task]:
    """Return the tasks of a selection that the command line leaves, or those it puts in their place."""
    tasks = [task for task in SELECTIONS[given.selection] if not given.user or task.user in given.user]
    if given.tests:
        asked = tuple(shlex.split(given.tests))
        tasks = list({task.user: replace(task, arguments=asked, processors=1) for task in tasks}.values())
    if given.processors:
        tasks = [replace(task, processors=given.processors) for task in tasks]
    return tasks


def _install_what_is_missing(architecture: Architecture) -> None:
    """Raise NoGuestError if only root could install what is missing, or this machine is another."""
    if platform.machine() != "x86_64":
        raise NoGuestError(f"they are made on x86-64 machines, and this is {platform.machine()}")
    packages = {**architecture.packages, "dpkg-deb": ("dpkg",)}
    missing = [name for program, names in packages.items() if which(program) is None for name in names]
    if not missing:
        return
    if os.geteuid() != 0 or which("apt-get") is None:
        raise NoGuestError(f"first install {' '.join(missing)}: sudo apt-get install {' '.join(missing)}")
    print(f"installing: {' '.join(missing)}")
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update"], ["install", "-y", "--no-install-recommends", *missing]):
        done = subprocess.run(["apt-get", "-qq", *command], env=quiet, stdout=subprocess.DEVNULL, check=False)
        if done.returncode != 0:
            raise NoGuestError(f"apt-get {command[0]} failed")


def _run(
    architecture: Architecture, kernels: dict[debian.Release, debian.Kernel], tasks: Sequence[Task]
) -> list[matrix.Report]:
    """Run each task on each kernel, with as many guests at a time as there are processors for.

    Raises NoGuestError.
    """
    _compile(tasks)
    processors = os.cpu_count() or 1
    waiting = sorted(
        ((release, task) for release in kernels for task in tasks), key=lambda each: each[1].processors
    )
    reports = list[matrix.Report]()
    with TemporaryDirectory(prefix="guests-", dir=CACHE) as work, ExitStack() as guests:
        archive = Path(work, "archive")
        (built := Path(work, "built")).mkdir()
        image.build(archive, built, architecture, CACHE / architecture.name)
        running = list[tuple[debian.Release, Task, machine.Guest, float]]()
        while waiting or running:
            while waiting and _fits(waiting[0][1], [task for _, task, *_ in running], processors):
                release, task = waiting.pop(0)
                (folder := Path(work, f"{release.version}-{task.user}-{task.processors}")).mkdir()
                own = folder / "own"
                image.build_own(own, kernels[release], task)
                started = machine.guest(
                    architecture, kernels[release].image, [archive, own], folder, processors=task.processors
                )
                running.append((release, task, guests.enter_context(started), time.monotonic()))
            for each in list(running):
                release, task, guest, began = each
                took = time.monotonic() - began
                if guest.process.poll() is None and took < task.limit_s + STARTUP_S:
                    continue
                guest.process.kill()
                guest.process.wait()
                lines = guest.reports.read_text(errors="replace").splitlines()
                reports.append(report := matrix.read(release, task, took, lines))
                if not report.ended:
                    print("\n".join(guest.console.read_text(errors="replace").splitlines()[-30:]))
                running.remove(each)
            time.sleep(0.2)
    return sorted(reports, key=lambda report: list(kernels).index(report.release))


def _fits(task: Task, running: Sequence[Task], processors: int) -> bool:
    """Check that there are processors left for a task; one that wants more than there are runs alone."""
    return not running or sum(other.processors for other in running) + task.processors <= processors


def _compile(tasks: Sequence[Task]) -> None:
    """Compile everything here, the tests as pytest rewrites them: a guest cannot keep what it compiles."""
    for folder in (image.ROOT / "nono", image.ROOT / "tests", Path(sysconfig.get_path("purelib"))):
        compileall.compile_dir(folder, quiet=2, workers=0)
    rewrite = [sys.executable, "-m", "pytest", "--collect-only", "-qq", "-p", "no:cacheprovider"]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    # Whole files: a test whose name says the user is not the same here.
    arguments = {tuple(word.partition("::")[0] for word in task.arguments) for task in tasks}
    for each in arguments:
        subprocess.run(
            [*rewrite, *each], cwd=image.ROOT, env=environment, stdout=subprocess.DEVNULL, check=False
        )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
