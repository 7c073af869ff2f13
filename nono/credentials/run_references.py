"""Check what a run says about its credentials, without reading any of them."""

from __future__ import annotations

from nono.credentials.values.reference import CredentialReference, parse_reference
from nono.errors import CredentialError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from nono.policy.resolve import Resolved
    from nono.policy.services.credential_service import CredentialService


def references_of(service: CredentialService) -> list[CredentialReference]:
    """Parse the references of a service. Raises CredentialError that names the service and the field.

    Also refuses keys of AWS for a host that does not show what to sign for: no request would be answered.
    """
    if service.aws is not None and not service.upstream.is_wildcard:
        # Imported here: few runs have keys of AWS.
        from nono.credentials.aws.endpoint import scope_of

        try:
            scope_of(service.aws, service.upstream.host)
        except CredentialError as error:
            raise CredentialError(f"credential '{service.name}': {error.message}", hint=error.hint) from error
    fields = ("credential_key",) if service.oauth2 is None else ("auth.client_id", "auth.client_secret")
    return [
        _parsed(text, f"credential '{service.name}': {field}")
        for field, text in zip(fields, service.references, strict=False)  # AWS keys have none
    ]


def check_references(resolved: Resolved) -> None:
    """Raise CredentialError, as the run itself would, for a malformed reference."""
    for service in resolved.services:
        references_of(service)
    for text, _ in resolved.env_credentials:
        parse_reference(text)
    behind = None if resolved.proxy is None else resolved.proxy.upstream_proxy
    if behind is not None and behind.auth is not None:
        _parsed(behind.auth, f"the password of the upstream proxy {behind.host}:{behind.port}")


def _parsed(text: str, where: str) -> CredentialReference:
    try:
        return parse_reference(text)
    except CredentialError as error:
        raise CredentialError(f"{where}: {error.message}", hint=error.hint) from error
