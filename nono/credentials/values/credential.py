"""What the proxy asks of a credential: to be written into a request, and to be recognised in a response."""

from __future__ import annotations

from typing import Protocol

from nono.named_tuple import NamedTuple

Header = tuple[bytes, bytes]


class RequestFacts(NamedTuple):
    """What a credential may depend on: where the request goes."""

    host: str
    port: int
    method: str
    path: str  # with the query
    route: str
    presented: tuple[Header, ...] = ()  # the fields that held phantoms, where tokens go into their places


class Outgoing(NamedTuple):
    """A request about to be sent, without its credential."""

    method: bytes
    target: bytes  # canonical, origin form
    authority: bytes  # the Host field
    headers: list[Header]  # end-to-end ones, Host not among them
    body: bytes | None = None  # the whole of it where the injection needs it


class Injected(NamedTuple):
    """The target to send, and the header fields to add."""

    target: bytes
    headers: list[Header]


class Injection(Protocol):
    """A credential at hand, ready to be written into one request."""

    @property
    def needs_body(self) -> bool:
        """Whether inject must see the whole body, as a signature does."""
        ...

    @property
    def header_names(self) -> frozenset[bytes]:
        """Lower case; the child's own fields of these names are removed first."""
        ...

    def inject(self, request: Outgoing) -> Injected:
        """OSError, ValueError or CredentialError, never with the secret in it, when it cannot be done."""
        ...


class LeakStream(Protocol):
    """One response body, searched for the secret as it passes."""

    @property
    def found(self) -> bool: ...
    def feed(self, piece: bytes) -> bytes:
        """What may go on: without the secret, and without an end that could be the secret's beginning."""
        ...

    def finish(self) -> bytes: ...


class LeakDetector(Protocol):
    """Knows what a real secret looks like in its usual spellings, and tells nobody."""

    def stream(self) -> LeakStream: ...
    def mask_text(self, value: bytes) -> bytes | None:
        """value without the secret; None when it was clean."""
        ...


class Credential(Protocol):
    """A source of injections. The proxy never asks for the secret."""

    def at_hand(self, request: RequestFacts) -> Injection | None:
        """Without waiting; None when acquire must be asked."""
        ...

    async def acquire(self, request: RequestFacts) -> Injection:
        """OSError, ValueError or CredentialError when it cannot be had now."""
        ...

    def rejected(self, request: RequestFacts) -> None:
        """The upstream answered 401: what is cached may be stale."""
        ...

    def watcher(self) -> LeakDetector | None:
        """None when there is no secret to look for yet, or none that could be told from other text."""
        ...
