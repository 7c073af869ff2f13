"""Create programs and other files once per run of the tests, in whichever process needs them first."""

from __future__ import annotations

import fcntl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Builds:
    """Shared files. What has been created is in folder, which all processes of a run share."""

    folder: Path

    def get(self, name: str, make: Callable[[Path], object]) -> Path:
        """Return the file `name`. make: writes it to a given path; the other processes wait meanwhile."""
        target = self.folder / name
        with target.with_name(f"{name}.lock").open("wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not target.exists():
                begun = target.with_name(f"{name}.begun")
                make(begun)
                begun.rename(target)
        return target
