"""Read and write a store's file with the key that its lock protects."""

from __future__ import annotations

from collections.abc import Mapping

from nono.credentials.store import box, locks
from nono.credentials.store.box import Lock
from nono.credentials.store.locks import AskNew
from nono.disk.json_text import parse_object
from nono.named_tuple import NamedTuple
from nono.secret import Secret


class Key(NamedTuple):
    """The key of a store, and what protects it."""

    secret: Secret
    lock: Lock


def new_key(environ: Mapping[str, str], ask: AskNew | None) -> Key | None:
    """Return a key for a new store, like locks.new_lock()."""
    made = locks.new_lock(environ, ask)
    return None if made is None else Key(*made)


class Opened(NamedTuple):
    """The content of a store's file."""

    document: dict[str, object]  # empty if malformed
    key: Key | None  # None: it is plain text


class SealedFile(NamedTuple):
    """A kind of file that is encrypted wherever something can protect its key."""

    path: str
    purpose: box.Purpose
    environ: Mapping[str, str]

    def opened(self, content: bytes | None, known: Key | None = None, *, may_ask: bool = True) -> Opened:
        """Parse the file, decrypting it if needed. `known`: The key that it had a moment ago.

        Blocks, and must not be called on an event loop unless the key is known. Raises like locks.key_of().
        """
        if content is None:
            return Opened({}, None)
        document = parse_object(content)
        lock = box.lock_of(document)
        if lock is None:
            return Opened(document, None)
        if known is not None and known.lock == lock:
            secret = known.secret
        else:
            secret = locks.key_of(
                lock,
                self.path,
                self.environ,
                opens=lambda key: box.opened(document, key, self.purpose) is not None,
                may_ask=may_ask,
            )
        return Opened(parse_object(box.opened(document, secret, self.purpose) or b""), Key(secret, lock))

    def written(self, document: Mapping[str, object], key: Key | None, *, sort_keys: bool = False) -> bytes:
        """Return the content of the file; plain text if `key` is None."""
        # Imported here: most runs read a store and write none.
        import json

        content = json.dumps(document, indent=2, sort_keys=sort_keys).encode()
        return content if key is None else box.sealed(content, key.secret, key.lock, self.purpose)
