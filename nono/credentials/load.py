"""Loads the credentials of the services of a run: a header and a phantom for each, or the reason why not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from nono.credentials import broker
from nono.credentials.errors import CredentialNotFound, CredentialUnavailable
from nono.credentials.injection import HeaderCredential
from nono.credentials.phantom import Phantom, make_phantom
from nono.credentials.reference import (
    CredentialReference,
    EnvironmentReference,
    StoredReference,
    parse_reference,
)


class Service(Protocol):
    """What is read here of a service of the network policy."""

    @property
    def name(self) -> str: ...
    @property
    def credential_key(self) -> str: ...
    @property
    def inject_header(self) -> str: ...
    @property
    def credential_format(self) -> str: ...
    @property
    def env_vars(self) -> Sequence[str]: ...


@dataclass(frozen=True, slots=True)
class Loaded:
    """The credential was read: what goes upstream, and what the child holds instead."""

    header: HeaderCredential
    phantom: Phantom


@dataclass(frozen=True, slots=True)
class Missing:
    """It was not. The session starts, the child gets no phantom, and the route answers 503."""

    code: str  # "credential_not_found" or "credential_unavailable"
    message: str
    hint: str | None


@dataclass(frozen=True, slots=True)
class LoadedService[S: Service]:
    service: S
    outcome: Loaded | Missing
    warnings: tuple[str, ...]  # sentences about a credential that was read and could be kept better


def load_services[S: Service](services: Sequence[S], environ: Mapping[str, str]) -> list[LoadedService[S]]:
    """One result for each service, in their order. Blocks as broker.resolve_credential does.

    CredentialError: a reference, header or format is malformed, which no later event can mend. All references
    are parsed before the first is read, so that nobody unlocks a keyring for a run that cannot start.
    """
    references = [parse_reference(service.credential_key) for service in services]
    return [
        _load(service, reference, environ) for service, reference in zip(services, references, strict=True)
    ]


def _load[S: Service](
    service: S, reference: CredentialReference, environ: Mapping[str, str]
) -> LoadedService[S]:
    warnings: list[str] = []
    try:
        secret = broker.read(reference, environ, warnings.append)
        header = HeaderCredential(service.inject_header, service.credential_format, secret)
    except CredentialNotFound as error:
        hint = _mix_up(service, reference, environ) or error.hint
        return LoadedService(service, Missing(error.code, error.message, hint), tuple(warnings))
    except CredentialUnavailable as error:
        hint = _mix_up(service, reference, environ) or error.hint
        return LoadedService(service, Missing(error.code, error.message, hint), tuple(warnings))
    return LoadedService(service, Loaded(header, make_phantom(service.name)), tuple(warnings))


def _mix_up(service: Service, reference: CredentialReference, environ: Mapping[str, str]) -> str | None:
    """The obvious mix-up, if it is one: the credential is there, in the other of the two usual places."""
    match reference:
        case StoredReference(name):
            upper = name.upper().replace("-", "_")
            candidates = (*service.env_vars, upper, f"{upper}_API_KEY", f"{upper}_TOKEN")
            variable = next((candidate for candidate in candidates if environ.get(candidate)), None)
            if variable is not None:
                return (
                    f"{variable} is set in this environment, but service '{service.name}' uses the stored "
                    f"credential '{name}'; store it with: printenv {variable} | nono credential set {name}"
                )
        case EnvironmentReference(name):
            kept_in = broker.where(service.name, environ)
            if kept_in is not None:
                return (
                    f"a credential '{service.name}' is stored ({kept_in}), but this service uses "
                    f"env://{name}; export {name}, or set credential_key to '{service.name}' in a profile"
                )
    return None
