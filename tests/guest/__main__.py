"""`python -m guest [--selection NAME] [VERSION...]`: tests on real kernels, and one table of the results."""

from __future__ import annotations

import argparse
import compileall
import os
import platform
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from shutil import which
from tempfile import TemporaryDirectory

from guest import debian, image, machine, matrix
from guest.selection import SELECTIONS, Selection

CACHE = image.ROOT / ".guest"
PACKAGES = {machine.QEMU: "qemu-system-x86", "dpkg-deb": "dpkg", "cc": "gcc"}
STARTUP_S = 60  # beside the tests: unpacking, and what nono says of the kernel


def main(argv: Sequence[str]) -> int:
    """0 when every guest did all it should; 1 when one did not; 2 when none could be started."""
    parser = argparse.ArgumentParser(prog="guest", description=__doc__)
    parser.add_argument("--selection", choices=SELECTIONS, default="full")
    parser.add_argument("--at-once", type=int, default=max(1, (os.cpu_count() or 1) // 2))
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
        _install_what_is_missing()
        CACHE.mkdir(exist_ok=True)
        kernels = {release: debian.kernel(release, CACHE) for release in chosen}
    except debian.NoKernelError as error:
        print(f"no guests: {error}", file=sys.stderr)
        return 2
    reports = _run(kernels, SELECTIONS[given.selection], given.selection, given.at_once)
    for report in reports:
        for complaint in report.complaints:
            print(f"--- {report.kernel}: {complaint}")
        if given.verbose:
            for why, count in report.skips.items():
                print(f"--- {report.kernel}: {count} skipped: {why}")
    print(matrix.table(reports))
    return 1 if any(report.complaints for report in reports) else 0


def _install_what_is_missing() -> None:
    """NoKernelError: something is missing that only root could install, or the machine is another."""
    if platform.machine() != "x86_64":
        raise debian.NoKernelError(f"they are x86-64 machines, and this is {platform.machine()}")
    missing = [package for program, package in PACKAGES.items() if which(program) is None]
    if not missing:
        return
    if os.geteuid() != 0 or which("apt-get") is None:
        raise debian.NoKernelError(
            f"first install {' '.join(missing)}: sudo apt-get install {' '.join(missing)}"
        )
    print(f"installing: {' '.join(missing)}")
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update"], ["install", "-y", "--no-install-recommends", *missing]):
        done = subprocess.run(["apt-get", "-qq", *command], env=quiet, stdout=subprocess.DEVNULL, check=False)
        if done.returncode != 0:
            raise debian.NoKernelError(f"apt-get {command[0]} failed")


def _run(
    kernels: dict[debian.Release, Path], selection: Selection, name: str, at_once: int
) -> list[matrix.Report]:
    """Guests by turns, at_once of them at a time, none for longer than its selection may take."""
    for folder in (image.ROOT / "nono", image.ROOT / "tests", Path(sysconfig.get_path("purelib"))):
        compileall.compile_dir(folder, quiet=2, workers=0)  # a guest cannot keep what it compiles
    waiting, reports = list(kernels.items()), dict[str, matrix.Report]()
    with TemporaryDirectory(prefix="guests-", dir=CACHE) as work, ExitStack() as guests:
        archive = Path(work, "archive")
        (built := Path(work, "built")).mkdir()
        image.build(archive, built)
        running = dict[debian.Release, tuple[machine.Guest, float]]()
        while waiting or running:
            while waiting and len(running) < at_once:
                release, kernel = waiting.pop(0)
                (folder := Path(work, release.version)).mkdir()
                options = f"nono.selection={name}"
                started = machine.guest(kernel, archive, folder, options, processors=2)
                running[release] = guests.enter_context(started), time.monotonic()
            for release, (guest, began) in list(running.items()):
                took = time.monotonic() - began
                if guest.process.poll() is None and took < selection.limit_s + STARTUP_S:
                    continue
                guest.process.kill()
                guest.process.wait()
                lines = guest.reports.read_text(errors="replace").splitlines()
                reports[release.version] = matrix.read(release, took, lines)
                if not reports[release.version].ended:
                    print("\n".join(guest.console.read_text(errors="replace").splitlines()[-30:]))
                del running[release]
            time.sleep(0.2)
    return [reports[release.version] for release in kernels]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
