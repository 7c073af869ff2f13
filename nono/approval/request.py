"""Define the values of an approval: requests, questions, answers, and protocols of approvers and backends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, Protocol

from nono.named_tuple import NamedTuple
from nono.policy.capability import Access
from nono.policy.endpoints.policy import EndpointVerdict

FileKind = Literal["file", "directory", "device", "FIFO"]
Outcome = Literal["granted", "denied", "timeout", "error"]


# Requests with the same key are the same question. None: never the same as another request.
Identity = tuple[str, ...] | None


class FileOpen(NamedTuple):
    """A request to open one file beyond the grants, once: a yes is not remembered."""

    path: str  # canonical; non-UTF-8 bytes as surrogates (os.fsdecode)
    access: Access
    kind: FileKind
    truncates: bool  # the file is truncated as it is opened
    pid: int

    @property
    def identity(self) -> Identity:
        return (self.path, self.access.value, self.kind, str(self.truncates))


SHOWN_BYTES = 1024  # of a body


class HeldBody(NamedTuple):
    """The body of a request that waits for an answer: its length and digest, and the part that is shown."""

    length: int  # bytes
    sha256: str  # hexadecimal
    begins: bytes  # at most SHOWN_BYTES, without phantoms and keys
    media_type: str = ""  # Content-Type of the request, with its content coding

    @property
    def is_whole(self) -> bool:
        """True if `begins` is all of it."""
        return self.length <= SHOWN_BYTES


class EndpointRequest(NamedTuple):
    """A request to send one HTTP request to an upstream, once; never the same question as another one."""

    host: str
    method: str
    path: str  # for the audit log: without the values of the query
    route: str | None
    rule: EndpointVerdict
    target: str = ""  # shown to the person who answers: as sent, without phantoms and keys
    body: HeldBody | None = None  # None: it has none
    is_websocket: bool = False

    @property
    def identity(self) -> Identity:
        return None  # two of them may have different bodies


class HostRequest(NamedTuple):
    """A request to connect to a host that no rule allows. A yes covers the connections that wait for it."""

    host: str  # canonical
    port: int

    @property
    def identity(self) -> Identity:
        return ("host", self.host, str(self.port))


class LimitRequest(NamedTuple):
    """A request to raise the limits of a service's route by their original amount."""

    service: str
    host: str
    reason: str  # which limit was reached

    @property
    def identity(self) -> Identity:
        return ("limit", self.service)


Request = FileOpen | EndpointRequest | HostRequest | LimitRequest


class Question(NamedTuple):
    """One request put to a backend."""

    id: str  # never reused within a run
    request: Request
    session_id: str  # "" if nothing is recorded
    backend: str
    elsewhere: Callable[[], Answer | None] = lambda: None  # an answer given elsewhere


class Answer(NamedTuple):
    """The answer to a question. Every outcome except "granted" is a no."""

    outcome: Outcome
    reason: str = ""  # why not, without the full stop
    backend: str = ""  # the backend asked; "" if none was
    is_remembered: bool = False  # somebody refused this same question, so it is not asked again
    is_unasked: bool = False  # nobody could be asked

    @property
    def is_granted(self) -> bool:
        return self.outcome == "granted"


class Approver(Protocol):
    """Answers requests. It may be cancelled at any time; if it raises, the answer is no."""

    async def __call__(self, request: Request, /) -> Answer: ...


class Backend(Protocol):
    """One way to reach somebody who answers."""

    async def ask(self, question: Question, expires_s: float) -> Answer:
        """Ask, and return the answer. expires_s: seconds until the question is withdrawn, for display."""
