"""Define profile fields that nono refuses for now because they are not built yet.

They are checked like every other field, so that a file is already valid when they are built.
"""

from collections.abc import Mapping
from typing import Any, Literal

from nono.named_tuple import NamedTuple
from nono.policy.schema.commands import CommandPolicies
from nono.policy.schema.constraints import Format, Header, Text
from nono.policy.schema.profile import Profile
from nono.policy.schema.route_rules import OAuth2Client
from nono.policy.schema.routes import CaptureEntry, CustomCredential, ProviderEntry


class SpiffeEntry(NamedTuple):
    """A token of the workload API as a credential."""

    type: Literal["jwt"]
    workload_api_socket: str
    audience: tuple[str, ...]
    inject_header: Header | None = None
    credential_format: Format | None = None
    svid_hint: str | None = None


class ClientAssertion(NamedTuple):
    """A token of the workload API instead of a client's id and secret."""

    type: Literal["spiffe_jwt"]
    workload_api_socket: str
    audience: tuple[str, ...]
    svid_hint: str | None = None


class CaptureInteraction(NamedTuple):
    """The ways in which a capture command may interact with the person."""

    stdio: bool | str | None = None
    stdin: bool | str | None = None
    open_urls: Mapping[str, Any] | None = None
    allow_launch_services: bool | None = None


class CredentialStore(NamedTuple):
    """The place where a client keeps the tokens of its logins."""

    type: Literal["keychain_json", "file_json", "command_status"]
    path: str | None = None
    service: str | None = None
    account: str | None = None


class ProviderHelpers(NamedTuple):
    """Commands of a client for its logins."""

    status: tuple[Text, ...] | None = None
    login: tuple[Text, ...] | None = None
    logout: tuple[Text, ...] | None = None


# Keyed by the object that has the field, and its name.
UNIMPLEMENTED: Mapping[tuple[type, str], Any] = {
    (Profile, "command_policies"): CommandPolicies,
    (CustomCredential, "spiffe"): SpiffeEntry,
    (OAuth2Client, "client_assertion"): ClientAssertion,
    (OAuth2Client, "extra_params"): Mapping[str, str],
    (CaptureEntry, "interaction"): CaptureInteraction,
    (ProviderEntry, "credential_store"): CredentialStore,
    (ProviderEntry, "helpers"): ProviderHelpers,
}


def unimplemented(shape: Any, name: str) -> Any:
    """Return the shape of a field that is not built yet; None if an object has no such field."""
    return UNIMPLEMENTED.get((shape, name)) if hasattr(shape, "_fields") else None
