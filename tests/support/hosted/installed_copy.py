"""A copy of nono, installed where the test may write, with its own file of bytecode."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import nono
from support.running.pace import PACE

SOURCE = Path(nono.__file__).parent
TIMEOUT_S = 60.0 * PACE
LONG_AGO = 1_000_000_000
# The script's own directory comes first on the path, unless Python is isolated.
_INSTALL = (
    f"import sys; sys.path.remove({str(SOURCE.parent)!r})\n"
    "sys.path.insert(not sys.flags.safe_path, sys.argv.pop(1))\n"
    "from nono.bytecode import finder; finder.install()\n"
)
_KEEP = "import runpy; runpy.run_module('nono.bytecode.writer', run_name='__main__')"
_NONO = "from nono.__main__ import main; sys.exit(main())"


@dataclass(frozen=True, slots=True)
class InstalledCopy:
    """site: The directory it is installed in."""

    site: Path

    @property
    def file(self) -> Path:
        tag = sys.implementation.cache_tag
        return self.site / "nono/__pycache__" / f"start.{tag}.bytecode"

    def python(
        self,
        code: str,
        *arguments: str,
        flags: tuple[str, ...] = ("-I",),
        environ: dict[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run code once install() was called, as an isolated Python does unless flags say otherwise."""
        return subprocess.run(
            [sys.executable, *flags, "-c", _INSTALL + code, str(self.site), *arguments],
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            cwd=self.project,
            env=self.environ | (environ or {}),
        )

    def printed(self, code: str) -> Any:
        done = self.python(f"import json\n{code}")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def nono(self, *arguments: str, flags: tuple[str, ...] = ("-I",)) -> subprocess.CompletedProcess[str]:
        return self.python(_NONO, *arguments, flags=flags)

    @contextmanager
    def started(self, *arguments: str, stderr: IO[str] | None = None) -> Iterator[subprocess.Popen[str]]:
        """Run nono beside the block, at whose end its command reads the end of its input.

        stderr: The file for its standard error, in place of the test's.
        """
        argv = [sys.executable, "-I", "-c", _INSTALL + _NONO, str(self.site), *arguments]
        with subprocess.Popen(
            argv,
            cwd=self.project,
            env=self.environ,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
        ) as run:
            yield run
            run.communicate(timeout=TIMEOUT_S)

    def keep(self, flags: tuple[str, ...] = ("-I",), environ: dict[str, str] | None = None) -> None:
        done = self.python(_KEEP, flags=flags, environ=environ)
        assert (done.returncode, done.stderr) == (0, "")

    @property
    def project(self) -> Path:
        project = self.site.parent / "project"
        project.mkdir(exist_ok=True)
        return project

    @property
    def environ(self) -> dict[str, str]:
        home = self.site.parent / "home"
        home.mkdir(exist_ok=True)
        return {"PATH": os.environ["PATH"], "HOME": str(home), "LANG": "C.UTF-8"}


def install(directory: Path, *, compiled: bool = False) -> InstalledCopy:
    """Copy nono into a directory, without the file of bytecode.

    compiled: With the bytecode that Python keeps of each module of this nono, where it has some. Otherwise
    there is only what it writes for one import.
    """
    site = directory / "site-packages"
    # What another process is writing has a name that may be gone before it is copied: .x.tmp, x.pyc.123.
    left_out = ("start.*.bytecode", ".*.tmp", "*.pyc.*") if compiled else ("__pycache__",)
    shutil.copytree(SOURCE, site / "nono", ignore=shutil.ignore_patterns(*left_out))
    shutil.copytree(SOURCE.parent / "profiles", site / "nono/profiles", dirs_exist_ok=True)
    os.utime(site, (LONG_AGO, LONG_AGO))  # so that a change in the same second shows
    copy = InstalledCopy(site)
    copy.python("import nono.bytecode.finder")
    return copy
