"""A credential route: which service prefix leads to which upstream, and what is injected there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from nono.policy.hostname import ip_literal


class Credential(Protocol):
    """A loaded credential. The proxy asks for the finished header value and never for the secret."""

    @property
    def header(self) -> str:
        """The header it is injected in, e.g. ``Authorization``."""
        ...

    def value(self) -> bytes:
        """The header value to write, format applied. OSError or ValueError when it cannot be had now."""
        ...


class Phantom(Protocol):
    """What the child presents in place of the credential."""

    def matches(self, text: str) -> bool:
        """In time that does not depend on where text differs."""
        ...


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a request goes: scheme, canonical host, port and the path everything stays below."""

    scheme: str  # "https" or "http"
    host: str
    port: int
    base_path: str = ""  # "" or "/v1": no trailing slash

    @property
    def authority(self) -> bytes:
        """The Host field: the port is left out when it is the scheme's own (RFC 9110 section 7.2)."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        default = 443 if self.scheme == "https" else 80
        return (host if self.port == default else f"{host}:{self.port}").encode("ascii")


@dataclass(frozen=True, slots=True)
class Route:
    """``/<service>/...`` on the proxy leads to origin with the credential in place of the phantom."""

    service: str
    origin: Origin
    inject_header: str
    credential: Credential | None  # None: it could not be loaded, and the route answers 503
    phantom: Phantom | None = None  # None exactly when credential is None
    base_url_variable: str = ""  # for hints, e.g. OPENAI_BASE_URL
    tls_ca: str | None = None  # PEM file, added to the system's roots for this route only

    def __post_init__(self) -> None:
        if (self.credential is None) != (self.phantom is None):
            raise ValueError(f"route {self.service!r}: a phantom exists exactly when the credential does")
        address = ip_literal(self.origin.host)
        is_local = self.origin.host == "localhost" or (address is not None and address.is_loopback)
        if self.origin.scheme != "https" and not (self.origin.scheme == "http" and is_local):
            raise ValueError(f"route {self.service!r}: a key would cross the network in the clear")


@dataclass(frozen=True, slots=True)
class RouteTable:
    """The routes of a run, by service prefix and by upstream."""

    routes: tuple[Route, ...]
    _by_service: Mapping[str, Route] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        by_service = {route.service: route for route in self.routes}
        if len(by_service) != len(self.routes):
            raise ValueError("two routes have the same service name")
        object.__setattr__(self, "_by_service", by_service)

    def of_service(self, service: str) -> Route | None:
        return self._by_service.get(service)

    def of_upstream(self, host: str, port: int) -> Route | None:
        """The first route whose upstream is host:port; a tunnel there would bypass the route."""
        for route in self.routes:
            if (route.origin.host, route.origin.port) == (host, port):
                return route
        return None

    def owner_of(self, text: str) -> Route | None:
        """The route whose phantom text is. Every phantom is compared, so time tells nothing about which."""
        owners = [route for route in self.routes if route.phantom is not None and route.phantom.matches(text)]
        return owners[0] if owners else None
