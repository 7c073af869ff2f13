"""Says by whom a bundle without a key is, and which publishers that fits."""

from __future__ import annotations

from nono.named_tuple import NamedTuple
from nono.trust.pattern import is_wildcard_matched
from nono.trust.policy import BlockedPublisher, Keyless


class Claims(NamedTuple):
    """What a verified certificate of Fulcio says of the signer; "" where it says nothing."""

    issuer: str
    repository: str
    workflow: str
    ref: str
    build_signer_uri: str


def is_publisher(claims: Claims, publisher: Keyless) -> bool:
    """Match a publisher. A claim that is missing matches nothing, a wildcard neither."""
    pairs = [(publisher.repository, claims.repository), (publisher.ref_pattern, claims.ref)]
    if publisher.build_signer_uri is None:
        pairs.append((publisher.workflow, claims.workflow))
    else:
        pairs.append((publisher.build_signer_uri, claims.build_signer_uri))
    return claims.issuer == publisher.issuer and all(
        claim and is_wildcard_matched(pattern, claim) for pattern, claim in pairs
    )


def is_blocked(claims: Claims, blocked: BlockedPublisher) -> bool:
    """Match an entry of the blocklist: an issuer, or one repository of it."""
    return claims.issuer == blocked.identity and (
        blocked.repository is None or is_wildcard_matched(blocked.repository, claims.repository)
    )
