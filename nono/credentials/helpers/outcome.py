"""Describe how a run of a credential helper ended, in a form that can be shown."""

from __future__ import annotations

import re

from nono.audit.redact import REDACTED, redact_text
from nono.named_tuple import NamedTuple
from nono.secret import Secret

# Matches a possible key: long, made of the characters of keys, with letters and digits. Words do not match.
_KEY_LIKE = r"(?ai)(?=[^\d\s]*\d)(?=[^a-z\s]*[a-z])[\w+=-]{16,}"


class Succeeded(NamedTuple):
    """The helper exited with status 0."""

    stdout: Secret  # bytes that are not UTF-8 become lone surrogates
    stdout_bytes: int


class Failed(NamedTuple):
    """The helper exited with another status, or a signal ended it."""

    exit_status: int  # -N when signal N ended it
    stdout_bytes: int
    said: Secret  # its standard error as kept, to be searched for known messages
    stderr: str  # its first non-blank line, scrubbed


class TimedOut(NamedTuple):
    """The helper took too long and was killed, with its process group."""

    limit_s: float
    stdout_bytes: int


class TooLarge(NamedTuple):
    """The helper printed more than the length of any credential, and was killed."""

    limit_bytes: int


class NotStarted(NamedTuple):
    """The kernel refused to execute the helper."""

    reason: str


class Lost(NamedTuple):
    """The exit status could not be determined; the output is discarded."""


Outcome = Succeeded | Failed | TimedOut | TooLarge | NotStarted | Lost


def told(outcome: TimedOut | TooLarge | NotStarted | Lost) -> str:
    """Describe the failure as the end of a sentence that begins with the program's name."""
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
    """Return the first non-blank line without control characters and possible keys; 200 characters at most.

    Words that also occur in stdout are removed: `set -x` and debug flags print the value a second time.
    """
    for word in sorted(set(stdout.split()), key=len, reverse=True):
        if len(word) >= 4:
            stderr = stderr.replace(word, REDACTED.encode("ascii"))
    text = stderr.decode("utf-8", "replace")
    line = next((line.strip() for line in text.splitlines() if line.strip()), "")
    line = "".join(character if character.isprintable() else " " for character in line)
    return re.sub(_KEY_LIKE, REDACTED, redact_text(line))[:200]
