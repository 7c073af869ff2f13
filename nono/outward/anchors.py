"""Store the anchors of a session as files beside its log that other tools can check.

`00000017.head` is the note about the first 17 records, `00000017.1.tsr` the first authority's response:
`openssl ts -verify -data 00000017.head -in 00000017.1.tsr` checks them without nono. A key of the user's
produces `00000017.1.bundle`, which `cosign verify-blob-attestation` verifies.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from posixpath import join

from nono.disk.descriptor import DIRECTORY_FLAGS
from nono.disk.durable import unfinished
from nono.named_tuple import NamedTuple
from nono.outward.head import NOTE_BYTES_MAX, Head
from nono.private_dir import make_private_subdir

DIRECTORY = "anchors"
HEAD, STAMP, BUNDLE = ".head", ".tsr", ".bundle"
TOKEN_BYTES_MAX = 256 * 1024
_TOKEN = re.compile(r"([0-9]{8,12})\.[0-9]{1,3}(\.tsr|\.bundle)", re.ASCII)
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Token(NamedTuple):
    """One token and the note it covers, as found on disk."""

    file: str
    kind: str  # STAMP or BUNDLE
    note: bytes | None  # None: the file is missing or too long
    content: bytes | None


def keep(session: int, head: Head, number: int, kind: str, content: bytes) -> str:
    """Write a token, atomically and synced. Returns the name of its file. Raises OSError.

    session: Descriptor of the session's directory.
    number: The anchor's number in the run, from 1.
    """
    with suppress(FileExistsError):
        os.close(make_private_subdir(session, DIRECTORY))
        os.fsync(session)
    directory = os.open(DIRECTORY, DIRECTORY_FLAGS, dir_fd=session)
    try:
        stem = f"{head.records:08d}"
        file = f"{stem}.{number}{kind}"
        for name, written in ((stem + HEAD, head.note()), (file, content)):
            with unfinished(directory, name, is_shared=False) as token:
                token.write(written)
        os.fsync(directory)
        return file
    finally:
        os.close(directory)


def tokens(directory: str) -> list[Token]:
    """Return the stored tokens of the session in `directory`, oldest first. Raises OSError."""
    try:
        descriptor = os.open(join(directory, DIRECTORY), DIRECTORY_FLAGS)
    except FileNotFoundError:
        return []
    try:
        found = sorted(filter(None, map(_TOKEN.fullmatch, os.listdir(descriptor))), key=lambda each: each[0])
        return [
            Token(
                each[0],
                each[2],
                _read(descriptor, each[1] + HEAD, NOTE_BYTES_MAX),
                _read(descriptor, each[0], TOKEN_BYTES_MAX),
            )
            for each in found
        ]
    finally:
        os.close(descriptor)


def _read(directory: int, name: str, bytes_max: int) -> bytes | None:
    try:
        with open(os.open(name, _READ, dir_fd=directory), "rb", buffering=0) as file:
            content = file.read(bytes_max + 1)
    except OSError:
        return None
    return content if content is not None and len(content) <= bytes_max else None
