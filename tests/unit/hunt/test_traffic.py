"""The hunt of the proxy: programs come from a seed, and what is wrong in a play is seen."""

from __future__ import annotations

import gzip
import random
import zlib
from collections import Counter

import brotli
import pytest

from hunt.traffic.campaign import Campaign, difference
from hunt.traffic.ends.codings import coded
from hunt.traffic.ends.upstreams import Arrived, Http1Served
from hunt.traffic.play import Read, Seen
from hunt.traffic.programs.drawn import program
from hunt.traffic.programs.program import Ask, Head, Part, Piece, Program, Scene, Service, from_json
from hunt.traffic.programs.secrets import SHAPES, disclosed, twins
from hunt.traffic.texts import Texts
from hunt.traffic.watch import Watch

SECRETS = ("sk-first-secret-of-the-two", "sk-other-secret-of-the-two")


@pytest.mark.parametrize("seed", range(20))
def test_a_seed_gives_the_same_program_again(seed: int) -> None:
    assert program(random.Random(seed)) == program(random.Random(seed))


@pytest.mark.parametrize("seed", range(20))
def test_a_program_is_the_same_when_it_comes_back_from_json(seed: int) -> None:
    drawn = program(random.Random(seed))
    assert from_json(drawn.to_json()) == drawn


@pytest.mark.parametrize("shape", SHAPES)
def test_twins_differ_at_every_letter(shape: str) -> None:
    first, second = twins(7, shape)
    assert len(first) == len(second)
    assert all(a != b or not a.isalnum() for a, b in zip(first, second, strict=True))


def test_a_coded_piece_can_be_decoded_when_it_arrives() -> None:
    first, second, rest = coded("gzip", [(b"first", 0), (b"second", 0)])
    decoder = zlib.decompressobj(31)
    assert [decoder.decompress(each) for each in (first, second)] == [b"first", b"second"]
    assert gzip.decompress(first + second + rest) == b"firstsecond"


def test_held_octets_go_with_the_next_piece() -> None:
    assert coded("", [(b"first", 2), (b"second", 0)]) == [b"fir", b"stsecond", b""]


def test_two_codings_are_laid_over_each_other() -> None:
    assert gzip.decompress(brotli.decompress(b"".join(coded("gzip, br", [(b"text", 3)])))) == b"text"


def read(*cuts: bytes) -> list[Read]:
    return [Read(0, 0, "read", octets) for octets in cuts]


def test_the_same_octets_cut_elsewhere_are_told_apart() -> None:
    assert difference(read(b"ab", b"c"), read(b"ab", b"c")) is None
    assert (difference(read(b"ab", b"c"), read(b"abc")) or "").startswith("told/cuts: ")
    assert (difference(read(b"ab"), read(b"ac")) or "").startswith("told/octets: ")


@pytest.mark.parametrize(
    "told",
    [SECRETS[0], SECRETS[0].encode().hex(), SECRETS[0].replace("-", "%2d")],
    ids=["raw", "hex", "none"],
)
def test_a_secret_is_seen_in_its_spellings(told: str) -> None:
    assert (disclosed(SECRETS[0], f"before {told} after".encode()) is None) == ("%2d" in told)


class Scripted(Campaign):
    """Shows what is given for each play of the two secrets by turns; the last of them again and again."""

    def __init__(self, *shown: list[bytes]) -> None:
        self._shown = shown

    def play(self, program: Program, which: int) -> Seen:
        mine = self._shown[which]
        return Seen(read(mine.pop(0) if len(mine) > 1 else mine[0]))


@pytest.mark.parametrize(
    ("first", "second", "is_told"),
    [
        pytest.param([b"a"], [b"b"], True, id="each time"),
        pytest.param([b"a", b"a", b"b"], [b"b"], False, id="not the third time"),
        pytest.param([b"a"], [b"b", b"b", b"b", b"a"], False, id="not the fourth time"),
        pytest.param([b"a"], [b"a"], False, id="never"),
    ],
)
def test_only_what_differs_each_time_is_told(first: list[bytes], second: list[bytes], is_told: bool) -> None:
    """Found as the order in which two clients were answered: it varied with one and the same secret."""
    drawn = Program(Scene(1, ("reverse",), (Service(),)), (Ask(0),))
    assert bool(Scripted(first, second).compare(drawn).sights) is is_told


@pytest.mark.parametrize(("octets", "is_near"), [(30, False), (31, True), (40, True)])
def test_three_quarters_of_a_key_are_near_for_the_twin_that_has_it(octets: int, is_near: bool) -> None:
    """Its reader sees that it was searched again (ADR 30): found with 36 octets, as cuts in other places."""
    part = Part("beginning", "", octets, 0, "raw")
    steps = (Ask(0), Head(0), Piece(0, (part,)), Piece(0, (Part("text", "=", 99, 0, "raw"),)))
    drawn = Program(Scene(4112400028, ("reverse",), (Service("header", "base64", True),)), steps)
    first, second = (Texts(drawn, which).near() for which in (0, 1))
    assert (first != [0], second) == (is_near, [0])


class Arrivals:
    """A watch of two requests: the first with the key of service 0, the second without one."""

    def __init__(self, *, has_rules: bool = True, reads_bodies: bool = True) -> None:
        self.sights: list[str] = []
        self.known: Counter[str] = Counter()
        services = (Service(has_rules=has_rules), Service())
        scene = Scene(1, ("intercepted",), services, reads_bodies=reads_bodies)
        self.watch = Watch(Program(scene, ()), SECRETS, self.sights, self.known)
        for number, service in ((0, 0), (1, -1)):
            self.watch.sends(Ask(number, service=service), f"/m{number}")

    def arrive(
        self, target: str, mark: int, key: str = "", *, method: str = "GET", after: Arrived | None = None
    ) -> Arrived:
        fields = [(b"x-mark", str(mark).encode()), *([(b"authorization", key.encode())] if key else [])]
        served = Http1Served.__new__(Http1Served)  # nothing is sent
        arrived = Arrived(served, method.encode(), target.encode(), fields, after=after)
        self.watch.arrived(arrived)
        return arrived


def test_a_request_as_it_was_sent_is_no_sight() -> None:
    one = Arrivals()
    one.arrive("/m0", 0, SECRETS[0])
    one.arrive("/m1", 1)
    assert one.sights == []


@pytest.mark.parametrize(
    ("target", "mark", "key", "sight"),
    [
        ("/m0", 0, SECRETS[1], "keys/other"),
        ("/m1", 1, SECRETS[0], "keys/other"),
        ("/m0", 0, "", "keys/missing"),
        ("/m0", 0, f"{SECRETS[0]} sk-phantom-of-service-0", "keys/phantom"),
        ("/admin", 0, SECRETS[0], "desync/key"),
        ("/admin", 9, "", "desync/request"),
    ],
)
def test_a_request_that_differs_is_a_sight(target: str, mark: int, key: str, sight: str) -> None:
    one = Arrivals()
    one.arrive(target, mark, key)
    assert any(each.startswith(sight) for each in one.sights), one.sights


@pytest.mark.parametrize(("has_rules", "is_known"), [(True, False), (False, True)])
def test_a_body_of_the_same_service_is_a_known_gap_without_rules(has_rules: bool, is_known: bool) -> None:
    one = Arrivals(has_rules=has_rules, reads_bodies=False)
    before = one.arrive("/m0", 0, SECRETS[0])
    one.arrive("/admin", 0, SECRETS[0], method="DELETE", after=before)
    assert bool(one.known) == is_known
    assert bool(one.sights) != is_known
