"""Runs the steps of action.yml in their order, as a runner of GitHub does those of a composite action.

It knows the expressions that ours uses, and fails at any other.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

ROOT = Path(__file__).parents[3]
BASH = ("bash", "--noprofile", "--norc", "-eo", "pipefail", "-c")  # what `shell: bash` stands for


@dataclass(frozen=True, slots=True)
class Action:
    """The action of this checkout. inputs: those that `with:` gives."""

    inputs: Mapping[str, str]
    directory: Path = ROOT

    @property
    def _document(self) -> Any:
        return YAML(typ="safe").load(self.directory / "action.yml")

    def step(
        self,
        name: str,
        temp: Path,
        workspace: Path,
        environment: Mapping[str, str],
        prefix: Sequence[str] = (),
    ) -> subprocess.CompletedProcess[str] | None:
        """Run one step to its end; None if its condition skips it. prefix: an argv that changes the user."""
        [step] = [each for each in self._document["runs"]["steps"] if each["name"] == name]
        if "if" in step and not self._holds(step["if"]):
            return None
        assert step["shell"] == "bash"
        own = {key: self._text(value) for key, value in step.get("env", {}).items()}
        paths = temp / "paths"
        paths.touch()
        path = ":".join([*reversed(paths.read_text().split()), environment["PATH"]])
        runner = {"RUNNER_TEMP": str(temp), "GITHUB_PATH": str(paths), "CI": "true", "PATH": path}
        return subprocess.run(
            [*prefix, *BASH, step["run"]],
            env={**environment, **runner, **own},
            cwd=workspace,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    def _value(self, name: str) -> str:
        if name == "github.action_path":
            return str(self.directory)
        kind, _, name = name.partition(".")
        assert kind == "inputs"
        return self.inputs.get(name, self._document["inputs"][name]["default"])

    def _text(self, text: str) -> str:
        return re.sub(r"\$\{\{ ([\w.]+) \}\}", lambda found: self._value(found[1]), text)

    def _holds(self, condition: str) -> bool:
        found = re.fullmatch(r"([\w.]+) != ''", condition)
        assert found
        return self._value(found[1]) != ""
