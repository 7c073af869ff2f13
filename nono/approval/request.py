"""What somebody may be asked to agree to, and what can become of the question."""

from __future__ import annotations

from typing import Literal, Protocol

from nono.named_tuple import NamedTuple
from nono.policy.capability import Access
from nono.policy.endpoints.policy import EndpointVerdict

FileKind = Literal["file", "directory", "device", "FIFO"]
Outcome = Literal["granted", "denied", "timeout", "error"]


class FileOpen(NamedTuple):
    """To open one file beyond the grants, once: the answer is not kept when it is yes."""

    path: str  # canonical; bytes that are not UTF-8 as surrogates (os.fsdecode)
    access: Access
    kind: FileKind
    truncates: bool  # the file is truncated as it is opened
    pid: int

    @property
    def identity(self) -> tuple[str, ...]:
        """What makes two such requests the same question."""
        return (self.path, self.access.value, self.kind, str(self.truncates))


class EndpointRequest(NamedTuple):
    """To send one request to an upstream, once."""

    host: str
    method: str
    path: str
    route: str | None
    rule: EndpointVerdict


Request = FileOpen | EndpointRequest


class Question(NamedTuple):
    """One request that somebody is asked about."""

    id: str  # of this run, never reused
    request: Request
    session_id: str  # "" where nothing is recorded
    backend: str


class Answer(NamedTuple):
    """Anything but "granted" is a no."""

    outcome: Outcome
    reason: str = ""  # why not, as a sentence without its full stop
    backend: str = ""  # who was asked; "" for nobody
    is_remembered: bool = False  # somebody said no to this very question, and need not be asked again

    @property
    def is_granted(self) -> bool:
        return self.outcome == "granted"


class Approver(Protocol):
    """Whoever answers requests. It may be cancelled at any time; an exception of it is a no."""

    async def __call__(self, request: Request, /) -> Answer: ...


class Backend(Protocol):
    """One way to reach somebody who answers."""

    async def ask(self, question: Question, expires_s: float) -> Answer:
        """The answer; expires_s: when the question is withdrawn, which whoever is asked should know."""
