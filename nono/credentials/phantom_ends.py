"""Keep the key by which one person's phantoms have the same end in every run."""

from __future__ import annotations

import os
import re

from nono.credentials.store.private_file import PrivateFile
from nono.credentials.values.errors import CredentialUnavailable
from nono.secret import Secret

_STEM, _KEY_BYTES = "phantoms", 32
# Quoted, because the file is JSON like its neighbours.
_CONTENT = re.compile(rb'"([0-9a-f]{64})"\n?')


def key_of_ends(state_root: str) -> Secret | None:
    """Return the key, creating it if needed; None if other users could read it.

    The key is random and independent of any credential: an end only tells one person's runs from another's.
    Without a key every phantom is completely random, and a client may ask again whether to use it.
    """
    file = PrivateFile(state_root, _STEM, max_bytes=_KEY_BYTES * 4)
    try:
        found = _parsed(file.read())
        if found is None:
            with file.locked() as locked:
                found = _parsed(locked.read())  # another nono may have created it meanwhile
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
