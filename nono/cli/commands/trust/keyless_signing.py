"""Sign without a key: a CI job proves its identity, and the public Sigstore certifies and logs it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from nono.errors import NonoError
from nono.policy.suggestions import install_command
from nono.trust import predicates, statement
from nono.trust.statement import Statement, Subject

# Signs a statement of this predicate type about subjects, and returns the text of a bundle.
Seal = Callable[[str, Sequence[Subject]], bytes]


def sealer() -> Seal:
    """Return a function that signs as the present CI job.

    Raises NonoError outside CI or without the library.
    """
    try:
        # Imported here: it takes 300 ms and is an optional extra.
        from sigstore.errors import Error
        from sigstore.oidc import detect_credential
    except ImportError as error:
        raise NonoError(
            "signing without a key needs the package sigstore.", hint=install_command("keyless")
        ) from error
    try:
        token = detect_credential()
    except Error as error:
        raise NonoError(f"the identity of this job cannot be obtained: {error}") from error
    if token is None:
        raise NonoError(
            "signing without a key needs the identity of a CI job, and there is none here.",
            hint="in GitHub Actions: permissions: id-token: write; elsewhere sign with a key",
        )

    def seal(predicate_type: str, subjects: Sequence[Subject]) -> bytes:
        said = Statement(tuple(subjects), predicate_type, predicates.keyless())
        try:
            return _sealed(statement.encoded(said), token)
        except Exception as error:  # also of the library's parts, for an answer that none expects
            raise NonoError(f"Sigstore has not signed it: {_reason(error)}") from error

    return seal


def _reason(error: Exception) -> str:
    return str(error) or str(error.__cause__ or type(error).__name__)


def _sealed(payload: bytes, token: str) -> bytes:
    from sigstore import dsse
    from sigstore.models import ClientTrustConfig
    from sigstore.oidc import IdentityToken
    from sigstore.sign import SigningContext

    context = SigningContext.from_trust_config(ClientTrustConfig.production())
    with context.signer(IdentityToken(token)) as signer:
        return signer.sign_dsse(dsse.Statement(payload)).to_json().encode()
