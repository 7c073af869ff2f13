"""Run a program that botocore asks for keys (credential_process) as every credential helper is run.

botocore itself would find it along PATH, where an activated environment puts the project first, and start it
in the project, with every variable of the person.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from nono.credentials.helpers.command import helper_environment, run_helper_and_wait
from nono.credentials.helpers.outcome import Failed, Succeeded, told
from nono.credentials.helpers.program import find_program
from nono.credentials.values.errors import CredentialUnavailable
from nono.secret import Secret

TIMEOUT_S = 30.0
_VARIABLES = "AWS_"  # a prefix, which programs for AWS use for their own too

# Takes a command line. Raises NonoError if the sandboxed command could change what it runs.
CheckProgram = Callable[[Sequence[str]], None]


def run_as_helpers(environ: Mapping[str, str], check: CheckProgram) -> None:
    """Have botocore start programs in this way only. Its keys are for one run, and so is this process."""
    import botocore.credentials  # type: ignore[import-untyped]  # an optional extra; ships no types

    provider = botocore.credentials.ProcessProvider
    botocore.credentials.ProcessProvider = partial(provider, popen=partial(_Process, environ, check))


class _Process:
    """A program that has ended: the part of subprocess.Popen that botocore uses."""

    def __init__(
        self, environ: Mapping[str, str], check: CheckProgram, argv: Sequence[str], **_: object
    ) -> None:
        """Run it. Raises CredentialUnavailable if it may not be run, or does not end by itself."""
        command = [find_program(argv[0], environ), *argv[1:]]
        check(command)
        outcome = run_helper_and_wait(command, helper_environment(environ, _VARIABLES), timeout_s=TIMEOUT_S)
        match outcome:
            case Succeeded(stdout, _):
                self.returncode, self._stdout = 0, stdout
            case Failed(status):
                self.returncode, self._stdout = status, Secret("")
            case _:
                raise CredentialUnavailable(f"'{argv[0]}' {told(outcome)}")

    def communicate(self) -> tuple[bytes, bytes]:
        """Return its output. Its errors are left out: botocore would quote them."""
        return self._stdout.reveal().encode("utf-8", "surrogateescape"), b""
