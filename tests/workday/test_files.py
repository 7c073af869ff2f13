"""What works outside works inside: shells, toolchains, git, archives, terminals, without a network."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest

from support.running.builds import Builds
from support.running.workday_count import PROPERTY
from support.workday import (
    builds,
    datagrams,
    files,
    languages,
    more_languages,
    packing,
    processes,
    repositories,
    shells,
)
from support.workday.case import BATCH_TIMEOUT_S, WAYS, Case, Workplace, workplace
from support.workday.shared import BATCH, Chosen, SharedStarts

ONE_OF_EACH_KIND = files.CASES  # `make test` runs the others with namespaces only
# Without namespaces it runs of each profile what differs there, and one more: the rest of a profile is files.
WITHOUT_NAMESPACES = (
    "node makes a temporary directory",
    "gcc compiles for an agent",
    "pytest runs a test",
    "go names a cache of modules it can write",
    "rustc compiles",
    "maven starts",
)
BATCHED = ("netns", "masked")  # ways that differ from "auto" in little, so many cases share a start of nono
CASES = [
    *ONE_OF_EACH_KIND,
    *shells.CASES,
    *builds.CASES,
    *repositories.CASES,
    *languages.CASES,
    *more_languages.CASES,
    *packing.CASES,
    *processes.CASES,
    *datagrams.CASES,
]
EVERY = 12
COMPARES_ALL = bool(os.environ.get("NONO_TEST_LONG"))  # otherwise only what fails inside runs outside as well
Record = Callable[[str, object], None]


def _parameters() -> Iterator[object]:
    for case in CASES:
        for way in WAYS:
            if way in BATCHED and case.may_share:
                continue
            is_quick = way == "auto" or (way == "off" and _is_daily_without_namespaces(case))
            marks = () if is_quick and not case.is_slow else (pytest.mark.slow,)
            yield pytest.param(case, way, id=f"{case.name}-{way}", marks=marks)


def _is_daily_without_namespaces(case: Case) -> bool:
    if case not in ONE_OF_EACH_KIND:
        return False
    return not case.profile or bool(case.unshared or case.by_design) or case.claim in WITHOUT_NAMESPACES


def _batches() -> Iterator[object]:
    shared = [case for case in CASES if case.may_share]
    quick = [case for case in shared if not (case.is_slow or case.profile)]
    yield pytest.param(quick[::EVERY], id="some")
    for profile in dict.fromkeys(case.profile for case in shared):
        of_profile = [case for case in shared if case.profile == profile]
        for first in range(0, len(of_profile), BATCH):
            batch = of_profile[first : first + BATCH]
            yield pytest.param(batch, id=f"{profile or 'plain'}-{first}", marks=pytest.mark.slow)


def _chosen(session: pytest.Session) -> Iterator[Chosen]:
    """Yield the cases that the first test below is asked for; others have a case and a way too."""
    name = test_it_ends_inside_as_it_does_outside.__name__
    for item in session.items:
        if isinstance(item, pytest.Function) and item.originalname == name:
            case, way = item.callspec.params["case"], item.callspec.params["way"]
            assert isinstance(case, Case)
            assert isinstance(way, str)
            yield case, way


@pytest.fixture(scope="module")
def person() -> Iterator[Workplace]:
    with workplace() as made:
        yield made


@pytest.fixture(scope="module")
def starts(person: Workplace, builds: Builds, request: pytest.FixtureRequest) -> SharedStarts:
    made = SharedStarts(person, builds)
    made.plan(_chosen(request.session))
    return made


@pytest.mark.timeout(BATCH_TIMEOUT_S)
@pytest.mark.parametrize(("case", "way"), [*_parameters()])
def test_it_ends_inside_as_it_does_outside(
    case: Case, way: str, person: Workplace, starts: SharedStarts, record_property: Record
) -> None:
    inside = starts.inside(case, way)
    reason = case.refused(way)
    if reason is None and inside.exit_code == 0 and not COMPARES_ALL:
        record_property(PROPERTY, (way, case.name, "inside"))
        return
    outside = person.outside(case)
    if outside.returncode != 0:
        record_property(PROPERTY, (way, case.name, "not outside"))
        pytest.skip(f"it fails outside too: {outside.stderr[-200:]}")
    if reason is None:
        record_property(PROPERTY, (way, case.name, "inside" if inside.exit_code == 0 else "outside only"))
        assert inside.exit_code == 0, inside.output
    else:
        record_property(PROPERTY, (way, case.name, "by design"))
        assert inside.exit_code != 0, f"it works, although {reason}"


@pytest.mark.timeout(2 * BATCH_TIMEOUT_S)
@pytest.mark.parametrize("way", BATCHED)
@pytest.mark.parametrize("batch", [*_batches()])
def test_a_batch_ends_inside_as_it_does_outside(
    batch: list[Case], way: str, person: Workplace, record_property: Record
) -> None:
    inside = person.batch(batch, way)
    compared = [ended.case for ended in inside if ended.exit_code != 0 or COMPARES_ALL]
    outside = {ended.case.name: ended.exit_code for ended in person.batch(compared, None)} if compared else {}
    lost = {}
    for ended in inside:
        if outside.get(ended.case.name, 0) != 0:
            how = "not outside"
        elif ended.exit_code == 0:
            how = "inside"
        else:
            how = "outside only"
            lost[ended.case.name] = (ended.exit_code, ended.output[-2000:])
        record_property(PROPERTY, (way, ended.case.name, how))
    assert not lost


def test_every_profile_is_tried_without_namespaces_each_day() -> None:
    daily = [case for case in CASES if not case.is_slow and _is_daily_without_namespaces(case)]
    assert {case.claim for case in daily} >= set(WITHOUT_NAMESPACES)
    assert {case.profile for case in daily} >= {case.profile for case in ONE_OF_EACH_KIND}


def test_no_claim_is_made_twice() -> None:
    names = [case.name for case in CASES]
    assert sorted(names) == sorted(set(names))
