"""Verify the anchors of a session against its log."""

from __future__ import annotations

import os
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from nono.amounts import several
from nono.audit.chain import ChainState
from nono.audit.reading import Record
from nono.digests import sha256
from nono.named_tuple import NamedTuple
from nono.outward import anchors, attestation, rfc3161
from nono.outward.anchors import Token
from nono.outward.attestation import NotAttestedError
from nono.outward.head import Head, head_of, parse_note
from nono.outward.rfc3161 import NotStampedError
from nono.policy.suggestions import install_command
from nono.trust.dsse import PublicKey

if TYPE_CHECKING:
    from cryptography.x509 import Certificate


class Anchored(NamedTuple):
    """One token that matches the log."""

    file: str
    records: int  # how many it vouches for
    at: str  # RFC 3339, by the signer's clock
    by: str
    is_trusted: bool  # verified with a given root or key; otherwise anybody may have made it


class AnchorVerdict(NamedTuple):
    """What the anchors of a session prove."""

    anchored: tuple[Anchored, ...]  # oldest first
    problems: tuple[str, ...]  # each means that the log, or a file beside it, was changed

    @property
    def is_verified(self) -> bool:
        return not self.problems

    @property
    def records(self) -> int:
        """The number of records that a trusted anchor vouches for."""
        return max((each.records for each in self.anchored if each.is_trusted), default=0)


class _Log(NamedTuple):
    """What the anchors are compared with."""

    records: int
    heads: Mapping[int, Head | None]  # by the number of records, where an anchor vouches for so many
    stated: Mapping[str, str]  # the SHA-256 of each anchor that the log names, by file
    is_ended: bool


def anchor_document(verdict: AnchorVerdict) -> dict[str, object]:
    """Return a verdict as JSON values."""
    return {
        "verified": verdict.is_verified,
        "trusted_records": verdict.records,
        "anchored": [each._asdict() for each in verdict.anchored],
        "problems": list(verdict.problems),
    }


def verify_anchors(
    directory: str,
    records: Iterable[Record],
    roots: Sequence[Certificate] = (),
    keys: Sequence[PublicKey] = (),
) -> AnchorVerdict:
    """Verify the anchors stored beside the log in `directory`. Raises OSError if they cannot be read.

    records: All records of the log, in order.
    roots: Trusted roots of time-stamping authorities. Without any, no time stamp's signature is verified.
    keys: Trusted signing keys. Without any, no key's signature is verified.
    """
    tokens = anchors.tokens(directory)
    notes = {token.file: parse_note(token.note or b"") for token in tokens}
    wanted = {head.records for head in notes.values() if head is not None}
    log = _read(records, os.path.basename(directory.rstrip("/")), wanted)
    problems = [*_unlike_the_log(tokens, log.stated)]
    anchored = []
    for token in tokens:
        found = _judged(token, notes[token.file], log, roots, keys)
        if isinstance(found, Anchored):
            anchored.append(found)
        else:
            problems.append(found)
    if roots and not problems:
        problems += _not_covered(anchored, anchors.STAMP, log)
    if keys and not problems:
        problems += _not_covered(anchored, anchors.BUNDLE, log)
    return AnchorVerdict(tuple(anchored), tuple(problems))


def _read(records: Iterable[Record], session_id: str, wanted: Container[int]) -> _Log:
    """Read the log once. wanted: After how many records its head is needed."""
    state, heads, stated = ChainState(), dict[int, Head | None](), dict[str, str]()
    is_ended = False
    for record in records:
        state = state.appended(bytes.fromhex(record.leaf_hash))
        if state.sequence in wanted:
            heads[state.sequence] = head_of(session_id, state)
        is_ended = is_ended or record.event.get("type") == "session_ended"
        if record.event.get("type") == "audit_anchored":
            stated[str(record.event.get("file"))] = str(record.event.get("sha256"))
    return _Log(state.sequence, heads, stated, is_ended)


def _judged(
    token: Token, head: Head | None, log: _Log, roots: Sequence[Certificate], keys: Sequence[PublicKey]
) -> Anchored | str:
    """Return the token if it matches the log, or else what is wrong with it or the log."""
    if head is None or token.content is None:
        return f"the anchor {token.file} is damaged"
    if head.records > log.records:
        return (
            f"the log has {several(log.records, 'record')}, and the anchor {token.file} vouches for "
            f"{head.records}: {head.records - log.records} are missing at its end"
        )
    if log.heads.get(head.records) != head:
        return f"the first {head.records} records are not those that {token.file} vouches for"
    try:
        return _verified(token, head, roots, keys)
    except (NotStampedError, NotAttestedError) as error:
        return f"the anchor {token.file} is not valid: {error}"


def _not_covered(anchored: Iterable[Anchored], kind: str, log: _Log) -> Iterable[str]:
    """Report records that no trusted anchor covers: cutting and re-ending a log removes its later anchors."""
    who = "authority" if kind == anchors.STAMP else "key"
    covered = max(
        (each.records for each in anchored if each.is_trusted and each.file.endswith(kind)), default=0
    )
    if not covered:
        yield f"no {who} that is trusted vouches for any record"
    elif log.is_ended and covered < log.records:
        yield f"no {who} that is trusted vouches for the last {several(log.records - covered, 'record')}"


def _unlike_the_log(tokens: Sequence[Token], stated: Mapping[str, str]) -> Iterable[str]:
    found = {token.file: token.content for token in tokens}
    for file, digest in stated.items():
        content = found.get(file)
        if content is None:
            yield f"the anchor {file} is missing, and the log says that it was there"
        elif sha256(content).hexdigest() != digest:
            yield f"the anchor {file} is not the one that the log names"


def _verified(token: Token, head: Head, roots: Sequence[Certificate], keys: Sequence[PublicKey]) -> Anchored:
    assert token.content is not None  # damaged tokens were removed before
    if token.kind == anchors.BUNDLE:
        said = attestation.verify(token.content, head, keys)
        return Anchored(token.file, head.records, said.at, f"key {said.key_id}", said.is_trusted)
    if not rfc3161.is_installed():
        return Anchored(token.file, head.records, "", f"an authority ({install_command('anchor')})", False)
    stamp = rfc3161.verify(token.content, head.note(), roots)
    return Anchored(token.file, head.records, stamp.at.isoformat(), stamp.authority, stamp.is_trusted)
