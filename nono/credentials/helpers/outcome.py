"""How a run of a credential helper ended, in a form that can be shown."""

from __future__ import annotations

import re
from dataclasses import dataclass

from nono.audit.redact import REDACTED, redact_text
from nono.secret import Secret

# What could be a key: long, of the characters keys are made of, with letters and digits. Words are not.
_KEY_LIKE = re.compile(r"(?=[^\d\s]*\d)(?=[^a-z\s]*[a-z])[\w+=-]{16,}", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Succeeded:
    """It ended with status 0."""

    stdout: Secret  # bytes that are no UTF-8 are lone surrogates in it
    stdout_bytes: int


@dataclass(frozen=True, slots=True)
class Failed:
    """It ended with another one."""

    exit_status: int  # -N when signal N ended it
    stdout_bytes: int
    said: Secret  # all of its standard error, to be searched for known messages
    stderr: str  # its first line that says something, scrubbed


@dataclass(frozen=True, slots=True)
class TimedOut:
    """It was killed, with its process group."""

    limit_s: float
    stdout_bytes: int


@dataclass(frozen=True, slots=True)
class TooLarge:
    """It printed more than any credential is long, and was killed."""

    limit_bytes: int


@dataclass(frozen=True, slots=True)
class NotStarted:
    """The kernel would not execute it."""

    reason: str


@dataclass(frozen=True, slots=True)
class Lost:
    """How it ended could not be learnt; its output counts for nothing."""


Outcome = Succeeded | Failed | TimedOut | TooLarge | NotStarted | Lost


def told(outcome: TimedOut | TooLarge | NotStarted | Lost) -> str:
    """What went wrong, as the end of a sentence that begins with the program's name."""
    match outcome:
        case TimedOut():
            return f"did not answer within {outcome.limit_s:g} s and was stopped"
        case TooLarge():
            return f"printed more than {outcome.limit_bytes // 1024} KiB, which no credential is"
        case NotStarted():
            return f"could not be started: {outcome.reason}"
        case Lost():
            return "ended in a way that could not be learnt"


def scrub(stderr: bytes, stdout: bytes) -> str:
    """The first line that says something, without control characters and what could be a key; 200 at most.

    What stands in stdout is taken out too: `set -x` and debug flags print the value a second time.
    """
    for word in sorted(set(stdout.split()), key=len, reverse=True):
        if len(word) >= 4:
            stderr = stderr.replace(word, REDACTED.encode("ascii"))
    text = stderr.decode("utf-8", "replace")
    line = next((line.strip() for line in text.splitlines() if line.strip()), "")
    line = "".join(character if character.isprintable() else " " for character in line)
    return _KEY_LIKE.sub(REDACTED, redact_text(line))[:200]
