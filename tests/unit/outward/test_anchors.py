"""Anchors by a real time-stamping authority, and what they catch in a log that was changed."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography.x509 import Certificate, load_pem_x509_certificates

from nono.audit import event
from nono.audit.chain import ChainState, Encoder, record_line
from nono.audit.event import Event
from nono.audit.ledger import EVENT_FILE, AuditLog
from nono.credentials.signing.key import new_key
from nono.outward import anchors, events
from nono.outward.head import Head, head_of, parse_note
from nono.outward.rfc3161 import NotStampedError, stamp, verify
from nono.outward.tail import Tail
from nono.outward.verification import AnchorVerdict, verify_anchors
from nono.trust.dsse import PublicKey
from support.outward.serving import PostHandler, serving
from support.outward.timestamps import Authority
from support.ports import unused_port
from unit.outward.conftest import SESSION


@pytest.fixture(scope="module")
def roots(clock: Authority) -> list[Certificate]:
    return load_pem_x509_certificates(clock.ca.read_bytes())


class Session:
    """A log of some records, with an anchor after some of them."""

    def __init__(self, state_root: Path, clock: Authority) -> None:
        self.clock = clock
        self.log = AuditLog(str(state_root), SESSION)
        self.directory = Path(self.log.path).parent
        self.log.record(event.session_started(["true"]))

    def record(self, count: int) -> None:
        for number in range(count):
            self.log.record(event.limit_reached("memory", number))

    def head(self) -> Head:
        integrity = self.log.integrity()
        assert integrity is not None
        return Head(SESSION, *integrity)

    def anchor(self, *, is_recorded: bool = True) -> str:
        head = self.head()
        token = stamp(self.clock.url, head.note(), 10)
        session = os.open(self.directory, os.O_RDONLY)
        try:
            file = anchors.keep(session, head, 1, anchors.STAMP, token)
        finally:
            os.close(session)
        if is_recorded:
            digest = sha256(token).hexdigest()
            self.log.record(events.audit_anchored("rfc3161:" + self.clock.url, head, file, digest))
        return file

    def verdict(self, roots: list[Certificate], keys: Sequence[PublicKey] = ()) -> AnchorVerdict:
        session = os.open(self.directory, os.O_RDONLY)
        try:
            with Tail(session) as tail:
                return verify_anchors(str(self.directory), [*tail.records()], roots, keys)
        finally:
            os.close(session)

    def rewrite(self, change: Callable[[list[Event]], None]) -> None:
        """Write the log anew with other events, its chain intact, as whoever has this user's rights can."""
        path = self.directory / EVENT_FILE
        found = [json.loads(json.loads(line)["event_json"]) for line in path.read_bytes().splitlines()]
        change(found)
        state, lines = ChainState(), []
        for each in found:
            line, state = record_line(state, Encoder().encoded(each))
            lines.append(line)
        path.write_bytes(b"".join(lines))


@pytest.fixture
def session(tmp_path: Path, clock: Authority) -> Iterator[Session]:
    made = Session(tmp_path / "state", clock)
    with made.log:
        yield made


def test_an_anchor_vouches_for_the_records_before_it(session: Session, roots: list[Certificate]) -> None:
    session.record(3)
    session.anchor()
    session.record(2)
    verdict = session.verdict(roots)
    assert verdict.problems == ()
    assert (verdict.records, verdict.anchored[0].by) == (4, "CN=clock")


def test_openssl_verifies_the_anchor_by_itself(session: Session) -> None:
    token = session.directory / "anchors" / session.anchor()
    note = token.with_name(token.name.split(".")[0] + ".head")
    argv = ["openssl", "ts", "-verify", *map(str, ("-data", note, "-in", token, "-CAfile", session.clock.ca))]
    checked = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert (checked.returncode, "Verification: OK" in checked.stdout + checked.stderr) == (0, True)


def test_an_authority_that_nobody_named_is_not_trusted(session: Session) -> None:
    session.anchor()
    verdict = session.verdict([])
    assert (verdict.problems, verdict.records, verdict.anchored[0].is_trusted) == ((), 0, False)


def test_a_history_that_is_cut_at_its_end_is_caught(session: Session, roots: list[Certificate]) -> None:
    session.record(5)
    session.anchor(is_recorded=False)
    session.rewrite(lambda found: found.__delitem__(slice(4, None)))
    assert session.verdict(roots).problems == (
        "the log has 4 records, and the anchor 00000006.1.tsr vouches for 6: 2 are missing at its end",
    )


def test_a_history_that_is_written_anew_is_caught(session: Session, roots: list[Certificate]) -> None:
    session.record(5)
    session.anchor()
    session.rewrite(lambda found: found[2].update(times=99))
    assert session.verdict(roots).problems == (
        "the first 6 records are not those that 00000006.1.tsr vouches for",
    )


def test_an_anchor_that_is_taken_away_is_missed(session: Session, roots: list[Certificate]) -> None:
    file = session.anchor()
    (session.directory / "anchors" / file).unlink()
    assert session.verdict(roots).problems == (
        f"the anchor {file} is missing, and the log says that it was there",
    )


def test_an_anchor_that_is_expected_is_missed(session: Session, roots: list[Certificate]) -> None:
    assert session.verdict([]).is_verified
    assert session.verdict(roots).problems == ("no authority that is trusted vouches for any record",)


def test_an_authority_does_not_vouch_in_place_of_a_key(session: Session, roots: list[Certificate]) -> None:
    session.anchor()
    assert session.verdict(roots).problems == ()
    missed = ("no key that is trusted vouches for any record",)
    for trusted in (roots, []):
        assert session.verdict(trusted, [new_key().public]).problems == missed


def test_a_valid_anchor_in_place_of_the_one_in_the_log_is_caught(
    session: Session, roots: list[Certificate]
) -> None:
    """It may be of a later time."""
    head = session.head()
    file = session.anchor()
    (session.directory / anchors.DIRECTORY / file).write_bytes(stamp(session.clock.url, head.note(), 10))
    assert session.verdict(roots).problems == (f"the anchor {file} is not the one that the log names",)


def test_a_history_that_is_cut_and_ended_anew_is_caught(session: Session, roots: list[Certificate]) -> None:
    session.anchor(is_recorded=False)
    session.record(5)
    session.log.record(event.session_ended(0))
    last = session.anchor(is_recorded=False)
    assert session.verdict(roots).is_verified
    # Back to the first anchor, without a trace of the last one.
    (session.directory / "anchors" / last).unlink()
    session.rewrite(lambda found: found.__delitem__(slice(1, 6)))
    assert session.verdict(roots).problems == ("no authority that is trusted vouches for the last 1 record",)
    assert session.verdict([]).is_verified
    session.rewrite(lambda found: found.append(found[0]))  # behind its end
    assert session.verdict(roots).problems == ("no authority that is trusted vouches for the last 2 records",)


@pytest.mark.parametrize("part", ["token", "note"])
def test_an_anchor_that_is_changed_is_caught(session: Session, roots: list[Certificate], part: str) -> None:
    path = session.directory / "anchors" / session.anchor()
    if part == "note":
        path = path.with_name(path.name.split(".")[0] + ".head")
    whole, missed = path.read_bytes(), []
    for at in range(0, len(whole), max(len(whole) // 40, 1)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        if session.verdict(roots).is_verified:
            missed.append(at)
    path.write_bytes(whole)
    assert session.verdict(roots).is_verified
    assert missed == []


def test_an_anchor_of_another_session_is_no_anchor(
    session: Session, roots: list[Certificate], clock: Authority
) -> None:
    head = session.head()._replace(session_id="another")
    descriptor = os.open(session.directory, os.O_RDONLY)
    anchors.keep(descriptor, head, 1, anchors.STAMP, stamp(clock.url, head.note(), 10))
    os.close(descriptor)
    assert session.verdict(roots).records == 0


def test_an_answer_to_another_request_is_no_stamp(clock: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    first: list[bytes] = []
    answer = clock.answer

    def same(query: bytes) -> bytes:
        first.append(answer(query))
        return first[0]

    monkeypatch.setattr(clock, "answer", same)
    stamp(clock.url, b"a note", 10)
    with pytest.raises(NotStampedError, match="another request"):
        stamp(clock.url, b"a note", 10)


def test_an_answer_about_another_note_is_no_stamp(clock: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor if it answers this very request."""
    answer = clock.answer
    digests = [sha256(note).digest() for note in (b"a note", b"a Note")]
    monkeypatch.setattr(clock, "answer", lambda query: answer(query.replace(*digests)))
    with pytest.raises(NotStampedError, match="it is about something else"):
        stamp(clock.url, b"a note", 10)


def test_a_stamp_that_the_authority_has_refused_is_none(clock: Authority) -> None:
    token = stamp(clock.url, b"a note", 10)
    granted, rejection = b"\x30\x03\x02\x01\x00", b"\x30\x03\x02\x01\x02"  # PKIStatusInfo (RFC 3161 2.4.2)
    assert token.index(granted) < 10
    with pytest.raises(NotStampedError, match="the authority has refused it"):
        verify(token.replace(granted, rejection, 1), b"a note", ())


def test_only_the_authority_that_is_named_is_asked() -> None:
    asked = list[str]()

    class Other(PostHandler):
        def do_GET(self) -> None:  # noqa: N802  # the name that the library calls
            asked.append(self.path)
            self.answer(200, "application/timestamp-reply", b"")

        do_POST = do_GET  # noqa: N815  # as above

    class Front(PostHandler):
        def post(self, content: bytes) -> None:
            self.send_response(302)
            self.send_header("Location", other)
            self.send_header("Content-Length", "0")
            self.end_headers()

    with (
        serving(Other) as other,
        serving(Front) as front,
        pytest.raises(NotStampedError, match="the authority has answered 302"),
    ):
        stamp(front, b"a note", 10)
    assert asked == []


def test_who_cannot_be_reached_or_is_no_authority_has_stamped_nothing() -> None:
    class Another(PostHandler):
        def post(self, content: bytes) -> None:
            self.wfile.write(b"SSH-2.0-another\r\n")

    with pytest.raises(NotStampedError, match="Connection refused"):
        stamp(f"http://127.0.0.1:{unused_port()}", b"a note", 10)
    with serving(Another) as another, pytest.raises(NotStampedError, match="does not speak HTTP"):
        stamp(another, b"a note", 10)


def test_an_answer_with_an_unsorted_chain_is_asked_for_without(
    clock: Authority, roots: list[Certificate], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clock, "is_unsorted", True)
    token = stamp(clock.url, b"a note", 10)
    own = load_pem_x509_certificates((clock.folder / "tsa.pem").read_bytes())
    assert verify(token, b"a note", [*own, *roots]) == (verify(token, b"a note", ()).at, "CN=clock", True)
    with pytest.raises(NotStampedError, match="the certificate of the authority itself"):
        verify(token, b"a note", roots)
    with pytest.raises(NotStampedError):
        verify(token, b"a note", own)


def test_an_authority_that_does_not_answer_is_said(clock: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "is_down", True)
    with pytest.raises(NotStampedError, match="503"):
        stamp(clock.url, b"a note", 10)


def test_a_web_page_is_no_time_stamp(clock: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "answer", lambda query: b"<html>")
    with pytest.raises(NotStampedError, match="not answered with a time stamp"):
        stamp(clock.url, b"a note", 10)


def test_a_stamp_is_not_valid_for_another_note(clock: Authority, roots: list[Certificate]) -> None:
    token = stamp(clock.url, b"a note", 10)
    assert verify(token, b"a note", roots).is_trusted
    assert not verify(token, b"a note", ()).is_trusted
    for trusted in (roots, ()):
        with pytest.raises(NotStampedError):
            verify(token, b"a Note", trusted)


def test_a_note_is_read_as_it_was_written() -> None:
    state = ChainState().appended(b"1" * 32)
    head = head_of("s", state)
    assert head is not None
    assert parse_note(head.note()) == head


NOTE = Head("s", 17, "a" * 64, "b" * 64).note()


@pytest.mark.parametrize(
    "note",
    [
        b"",
        b"nono audit log s\n",
        b"\xff",
        NOTE.replace(b"17", b"017"),
        NOTE.replace(b"17", b"0"),
        NOTE + b"\n",
    ],
)
def test_what_is_no_note_is_not_read(note: bytes) -> None:
    assert parse_note(note) is None


@pytest.mark.parametrize("how", ["kept", "too long", "a link"])
def test_a_token_is_read_that_nono_can_have_kept_alone(tmp_path: Path, how: str) -> None:
    directory = tmp_path / anchors.DIRECTORY
    directory.mkdir()
    (directory / "00000001.head").write_bytes(b"note")
    token = directory / "00000001.1.tsr"
    match how:
        case "a link":
            token.symlink_to(directory / "00000001.head")
        case _:
            token.write_bytes(bytes(anchors.TOKEN_BYTES_MAX + (how == "too long")))
    [found] = anchors.tokens(str(tmp_path))
    assert (found.file, found.kind, found.note) == ("00000001.1.tsr", anchors.STAMP, b"note")
    assert found.content == (bytes(anchors.TOKEN_BYTES_MAX) if how == "kept" else None)
