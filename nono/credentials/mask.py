"""Removes every secret of a run from text that is about to be recorded."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from nono.credentials.phantom import Phantom, SessionToken
from nono.credentials.values.credential import Credential
from nono.credentials.values.tripwire import tripwire_for


def mask_of(
    token: SessionToken, phantoms: Sequence[Phantom], credentials: Sequence[Credential]
) -> Callable[[bytes], bytes]:
    """Return a masking function for any thread; it knows the latest value of credentials that are renewed."""
    own_tokens = tripwire_for([token.secret, *(phantom.secret for phantom in phantoms)])

    def mask(text: bytes) -> bytes:
        for tripwire in (own_tokens, *(credential.tripwire() for credential in credentials)):
            masked = None if tripwire is None else tripwire.mask_text(text)
            text = text if masked is None else masked
        return text

    return mask
