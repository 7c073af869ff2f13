"""Watch a command with the real `nono learn`, and run it again under the resulting profile."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.nono_run import NONO, PROGRAM_GRANTS, TIMEOUT_S, Ended, NonoRun
from support.running import fork_server
from support.running.needs import require

NAME = "learned"


@dataclass(frozen=True, slots=True)
class Learner:
    """A user who learns profiles and writes them where `nono run` finds them by name."""

    runner: NonoRun

    @property
    def file(self) -> Path:
        return self.runner.user.home / ".config/nono/profiles" / f"{NAME}.json"

    @property
    def profile(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.file.read_text())
        return document

    def granted(self, field: str) -> set[str]:
        """Return a field of the profile's filesystem section."""
        return set(self.profile.get("filesystem", {}).get(field, ()))

    @property
    def endpoints(self) -> dict[str, set[tuple[str, str]]]:
        """Return the methods and paths of each host."""
        entries = self.profile.get("network", {}).get("allow_domain", ())
        return {
            entry["domain"]: {(rule["method"], rule["path"]) for rule in entry["endpoints"]}
            for entry in entries
        }

    def learn(
        self,
        command: Sequence[str],
        *,
        flags: Sequence[str] = ("--yes",),
        output: str = NAME,
        environment: Mapping[str, str] | None = None,
        wrapper: Sequence[str] = (),
        stdin: str = "",
    ) -> Ended:
        require("listener", self.runner.user.uid)
        flags = (*PROGRAM_GRANTS, f"--output={output}", *flags)
        return self._nono(["learn", *flags, "--", *command], environment, wrapper, stdin)

    def again(
        self,
        command: Sequence[str],
        *,
        flags: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> Ended:
        """Run `nono run` with the learned profile and nothing else."""
        flags = (f"--profile={NAME}", "--allow-cwd", *flags)
        return self._nono(["run", *flags, "--", *command], environment, (), "")

    def _nono(
        self,
        arguments: Sequence[str],
        environment: Mapping[str, str] | None,
        wrapper: Sequence[str],
        stdin: str,
    ) -> Ended:
        before = set(self.runner.logs())
        ended = fork_server.run(
            self.runner.user.command([*wrapper, *NONO, *arguments]),
            env=self.runner.user.environment(environment),
            cwd=self.runner.project,
            input=stdin,
            timeout=TIMEOUT_S,
        )
        return Ended(ended.returncode, ended.stdout, ended.stderr, self.runner.events_since(before))
