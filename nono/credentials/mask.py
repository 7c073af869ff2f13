"""Remove every secret of a run from text that is about to be recorded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain

from nono.credentials.phantom import Phantom, SessionToken
from nono.credentials.values.credential import Credential, detectors
from nono.credentials.values.tripwire import tripwire_for


def mask_of(
    token: SessionToken, phantoms: Sequence[Phantom], credentials: Sequence[Credential]
) -> Callable[[bytes], bytes]:
    """Return a masking function for any thread; it knows the latest value of credentials that are renewed."""
    own_tokens = tripwire_for([token.secret, *(phantom.secret for phantom in phantoms)])

    def mask(text: bytes) -> bytes:
        for detector in filter(None, (own_tokens, *chain.from_iterable(map(detectors, credentials)))):
            masked = detector.mask_text(text)
            text = text if masked is None else masked
        return text

    return mask
