"""Runs the container image of this project, which `make test-image` builds with podman or docker."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

import pytest

TIMEOUT_S = 240.0


@dataclass(frozen=True, slots=True)
class Engine:
    """A container engine with the image; the one with an agent has "-agent" added to its name."""

    program: str
    image: str
    base: str | None  # what it was built on

    @property
    def is_podman(self) -> bool:
        return os.path.basename(self.program) == "podman"

    def run(
        self,
        *arguments: str,
        options: Sequence[str] = (),
        image: str | None = None,
        stdin: str = "",
        network: str = "none",
    ) -> subprocess.CompletedProcess[str]:
        """Run `ENGINE run --rm ... IMAGE ARGUMENTS` to its end, with the engine's own seccomp profile."""
        argv = [self.program, "run", "--rm", "--interactive", f"--network={network}", *options]
        return subprocess.run(
            [*argv, image or self.image, *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )


def engine() -> Engine:
    """Return the container engine. Skips the test if no image was built."""
    image = os.environ.get("NONO_TEST_IMAGE")
    program = os.environ.get("ENGINE") or shutil.which("podman") or shutil.which("docker")
    if not image or not program:
        pytest.skip("`make test-image` builds an image and names it")
    return Engine(program, image, os.environ.get("NONO_TEST_BASE"))
