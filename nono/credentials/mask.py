"""Takes everything that is secret in a run out of a text that is about to be written down."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from nono.credentials.phantom import Phantom, SessionToken
from nono.credentials.values.credential import Credential
from nono.credentials.values.tripwire import tripwire_for


def mask_of(
    token: SessionToken, phantoms: Sequence[Phantom], credentials: Sequence[Credential]
) -> Callable[[bytes], bytes]:
    """A function for any thread; of credentials that are renewed it knows the latest."""
    handed_out = tripwire_for([token.secret, *(phantom.secret for phantom in phantoms)])

    def mask(text: bytes) -> bytes:
        for watcher in (handed_out, *(credential.watcher() for credential in credentials)):
            masked = None if watcher is None else watcher.mask_text(text)
            text = text if masked is None else masked
        return text

    return mask
