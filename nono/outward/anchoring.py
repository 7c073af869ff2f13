"""Ask the anchors of a run to vouch for the head of its log, and store their answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from nono.clock import rfc3339
from nono.digests import sha256
from nono.errors import CredentialError
from nono.named_tuple import NamedTuple
from nono.outward import anchors, attestation, rfc3161
from nono.outward.head import Head, head_of
from nono.outward.orders import KEY, RFC3161
from nono.outward.rfc3161 import NotStampedError
from nono.outward.tail import Tail

Say = Callable[[dict[str, Any]], None]


class Anchor(NamedTuple):
    """One of the anchors of a run."""

    name: str  # as the person named it
    number: int  # from 1
    kind: str
    ask: Callable[[Head, float], bytes]  # returns the token; raises NotStampedError or CredentialError


class Anchoring:
    """The anchors of one run; each is asked about the same head at the same time."""

    def __init__(self, session: int, session_id: str, tail: Tail, asked: Sequence[Anchor], say: Say) -> None:
        """session: Descriptor of the session's directory."""
        self._session = session
        self._session_id = session_id
        self._tail = tail
        self._asked = asked
        self._say = say
        self._done: dict[int, int] = {}  # number of records at an anchor's last token, by the anchor's number

    def anchor(self, timeout_s: float) -> None:
        """Anchor the current head, unless that is done already. Raises BrokenChainError."""
        self._tail.read_on()
        head = head_of(self._session_id, self._tail.state)
        for each in self._asked if head is not None else ():
            assert head is not None  # without a record nothing is asked
            if self._done.get(each.number) == head.records:
                continue
            try:
                token = each.ask(head, timeout_s)
                file = anchors.keep(self._session, head, each.number, each.kind, token)
            except (NotStampedError, CredentialError, OSError) as error:
                why = str(error) or repr(error)
                self._say({"not_anchored": each.name, "records": head.records, "why": why})
                continue
            self._done[each.number] = head.records
            digest = sha256(token).hexdigest()
            self._say({"anchored": each.name, "head": head._asdict(), "file": file, "sha256": digest})


def asked_anchors(names: Sequence[str], environ: Mapping[str, str]) -> list[Anchor]:
    """Return the anchors with these names, which must be valid. environ: Where keys are found."""
    return [_anchor(name, number, environ) for number, name in enumerate(names, 1)]


def _anchor(name: str, number: int, environ: Mapping[str, str]) -> Anchor:
    if name.startswith(RFC3161):
        url = name.removeprefix(RFC3161)
        return Anchor(
            name, number, anchors.STAMP, lambda head, timeout_s: rfc3161.stamp(url, head.note(), timeout_s)
        )
    return Anchor(name, number, anchors.BUNDLE, _signing(name.removeprefix(KEY), environ))


def _signing(reference: str, environ: Mapping[str, str]) -> Callable[[Head, float], bytes]:
    """Return a function that signs with a key, which is read on first use."""
    # Imported here: few runs use a key.
    from nono.credentials.signing import keystore
    from nono.credentials.signing.key import SigningKey

    loaded: list[SigningKey] = []

    def sign(head: Head, _timeout_s: float) -> bytes:
        if not loaded:
            loaded.append(keystore.load(reference, environ, lambda sentence: None))
        return attestation.signed(head, rfc3339(), loaded[0].public, loaded[0].sign)

    return sign
