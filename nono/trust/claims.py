"""Read who signed a bundle without a key, and match that with publishers."""

from __future__ import annotations

from nono.named_tuple import NamedTuple
from nono.trust.pattern import is_wildcard_matched
from nono.trust.policy import BlockedPublisher, Keyless


class Claims(NamedTuple):
    """The signer's identity in a verified Fulcio certificate; "" for a missing claim."""

    issuer: str
    repository: str
    workflow: str
    ref: str
    build_signer_uri: str


def is_publisher(claims: Claims, publisher: Keyless) -> bool:
    """Match a publisher. A missing claim matches nothing, not even a wildcard."""
    pairs = [(publisher.repository, claims.repository), (publisher.ref_pattern, claims.ref)]
    if publisher.build_signer_uri is None:
        pairs.append((publisher.workflow, claims.workflow))
    else:
        pairs.append((publisher.build_signer_uri, claims.build_signer_uri))
    return claims.issuer == publisher.issuer and all(
        claim and is_wildcard_matched(pattern, claim) for pattern, claim in pairs
    )


def is_blocked(claims: Claims, blocked: BlockedPublisher) -> bool:
    """Match an entry of the blocklist: an issuer, or one repository of an issuer."""
    return claims.issuer == blocked.identity and (
        blocked.repository is None or is_wildcard_matched(blocked.repository, claims.repository)
    )
