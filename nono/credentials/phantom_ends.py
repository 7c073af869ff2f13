"""Keeps the secret from which the phantoms of one person get ends that stay the same from run to run."""

from __future__ import annotations

import os
import re

from nono.credentials.store.private_file import PrivateFile
from nono.credentials.values.errors import CredentialUnavailable
from nono.secret import Secret

_STEM, _KEY_BYTES = "phantoms", 32
# In quotes, as the file is JSON like its neighbours.
_CONTENT = re.compile(rb'"([0-9a-f]{64})"\n?')


def key_of_ends(state_root: str) -> Secret | None:
    """Return the key, made where there is none yet; None if no other user could be kept from reading it.

    Random, and nothing of any credential: an end tells two runs of a person from those of others, no more.
    Without the key every phantom is random as a whole, and a client may ask again if it is to be used.
    """
    file = PrivateFile(state_root, _STEM, max_bytes=_KEY_BYTES * 4)
    try:
        found = _parsed(file.read())
        if found is None:
            with file.locked() as locked:
                found = _parsed(locked.read())  # another nono may have made it meanwhile
                if found is None:
                    text = os.urandom(_KEY_BYTES).hex()
                    locked.replace(f'"{text}"\n'.encode("ascii"))
                    found = Secret(text)
    except CredentialUnavailable:
        return None
    return found


def _parsed(content: bytes | None) -> Secret | None:
    matched = _CONTENT.fullmatch(content or b"")
    return Secret(matched[1].decode("ascii")) if matched is not None else None
