"""Name the ways a credential can be missing: not found, or without a usable answer from its source."""

from __future__ import annotations

from nono.errors import CredentialError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import ClassVar


class RequestUnfit(ValueError):  # noqa: N818  # it is about the request, not about the credential
    """A request that cannot carry the credential. The message is for the client and contains no secret."""


class CredentialNotFound(CredentialError):  # noqa: N818  # the code it carries names it
    """The source answered, and holds nothing under that name."""

    code: ClassVar = "credential_not_found"


class CredentialUnavailable(CredentialError):  # noqa: N818  # the same
    """The source did not answer, is not trusted, or holds something that cannot be a credential."""

    code: ClassVar = "credential_unavailable"
