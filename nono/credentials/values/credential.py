"""Define the proxy's view of a credential: inject it into a request, detect it in a response."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from nono.named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from nono.credentials.values.escapes import Span
    from nono.credentials.values.leak_mask import Occurrences
else:
    Protocol = object  # typing takes 2 ms to import

Header = tuple[bytes, bytes]


class RequestFacts(NamedTuple):
    """The facts about a request that a credential may depend on."""

    host: str
    port: int
    method: str
    path: str  # with the query
    route: str
    presented: tuple[Header, ...] = ()  # fields with phantoms, which tokens will replace
    recorded: str | None = None  # the client's path, without the values of its query: for the audit log


class Outgoing(NamedTuple):
    """A request about to be sent, without its credential."""

    method: bytes
    target: bytes  # canonical, origin form
    authority: bytes  # the Host field
    headers: list[Header]  # end-to-end fields without Host
    body: bytes | None = None  # the whole body if the injection needs it


class Injected(NamedTuple):
    """The target to send, and the header fields to add."""

    target: bytes
    headers: list[Header]


class Injection(Protocol):
    """A credential ready to be written into one request."""

    @property
    def needs_body(self) -> bool:
        """True if inject must see the whole body, as a signature does."""

    @property
    def header_names(self) -> frozenset[bytes]:
        """Names in lower case; the command's own fields of these names are removed first."""

    def inject(self, request: Outgoing) -> Injected:
        """Write the credential. Raises OSError, ValueError or CredentialError, never quoting the secret."""


class LeakStream(Protocol):
    """Searches one response body for the secret as it passes."""

    @property
    def found(self) -> int:
        """The number of times the secret was found so far."""

    @property
    def near(self) -> bool:
        """True once a long prefix of the secret was found that continues differently."""

    def feed(self, piece: bytes, runs: Sequence[Span] | None = None) -> bytes:
        """Return the bytes to pass on, without the secret and without an end that could begin one.

        runs: what LeakDetector.long_runs has returned for `piece`, if it was asked.
        """

    def finish(self) -> bytes: ...


class LeakDetector(Protocol):
    """Recognises a real secret in its usual spellings without revealing it."""

    @property
    def guessable(self) -> bool:
        """True if the secret may be in a list of candidates, so that a mask in place would name it."""

    def stream(self) -> LeakStream: ...
    def long_runs(self, text: bytes) -> Sequence[Span]:
        """Return the parts of a long text that have room for the secret."""

    def find(self, text: bytes, runs: Sequence[Span] | None = None) -> Occurrences:
        """Return where the secret occurs in a complete text; `runs` as for LeakStream.feed."""

    def occurs_in(self, text: bytes) -> bool:
        """Return True if a short text holds the secret."""

    def mask_text(self, value: bytes) -> bytes | None:
        """Return `value` without the secret; None if it was clean."""


class Credential(Protocol):
    """A source of injections. The proxy never asks for the secret."""

    def at_hand(self, request: RequestFacts) -> Injection | None:
        """Return an injection without waiting; None if acquire must be called."""

    async def acquire(self, request: RequestFacts) -> Injection:
        """Return an injection. Raises OSError, ValueError or CredentialError if none is available now."""

    def rejected(self, request: RequestFacts) -> None:
        """Handle a 401 from the upstream: a cached value may be stale."""

    def tripwire(self) -> LeakDetector | None:
        """Return a detector for secrets that requests carry and that responses must not repeat.

        None if there is no secret yet, or none that can be distinguished from other text.
        """


def detectors(credential: Credential) -> Iterator[LeakDetector]:
    """Yield a detector for each secret of `credential`, including secrets that no request carries.

    A credential derived from such a secret has a method unsent(). No upstream can echo that secret, but a
    recording could contain it.
    """
    # Not isinstance() with a protocol, which imports inspect: 5 ms of a start.
    unsent: Callable[[], LeakDetector | None] | None = getattr(credential, "unsent", None)
    found = [credential.tripwire(), unsent() if unsent is not None else None]
    yield from (each for each in found if each is not None)
