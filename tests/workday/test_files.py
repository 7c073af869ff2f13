"""What works outside works inside: shells, toolchains, git, archives, terminals, without a network."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from support.running.workday_count import PROPERTY
from support.workday import builds, files, languages, packing, processes, repositories, shells
from support.workday.case import WAYS, Case, Workplace, workplace

IN_EVERY_WAY = files.CASES  # one of each kind: `make test` runs the others with namespaces only
CASES = [
    *IN_EVERY_WAY,
    *shells.CASES,
    *builds.CASES,
    *repositories.CASES,
    *languages.CASES,
    *packing.CASES,
    *processes.CASES,
]
Record = Callable[[str, object], None]


def _parameters() -> Iterator[object]:
    for case in CASES:
        for way in WAYS:
            is_quick = way == "auto" or (way == "off" and case in IN_EVERY_WAY)
            marks = () if is_quick and not case.is_slow else (pytest.mark.slow,)
            yield pytest.param(case, way, id=f"{case.name}-{way}", marks=marks)


@pytest.fixture(scope="module")
def person() -> Iterator[Workplace]:
    with workplace() as made:
        yield made


@pytest.mark.parametrize(("case", "way"), [*_parameters()])
def test_it_ends_inside_as_it_does_outside(
    case: Case, way: str, person: Workplace, record_property: Record
) -> None:
    outside = person.outside(case)
    if outside.returncode != 0:
        record_property(PROPERTY, (way, "not outside"))
        pytest.skip(f"it fails outside too: {outside.stderr[-200:]}")
    inside = person.inside(case, way)
    reason = case.refused(way)
    if reason is None:
        record_property(PROPERTY, (way, "inside" if inside.returncode == 0 else "outside only"))
        assert inside.returncode == 0, inside.stdout[-1000:] + inside.stderr[-3000:]
    else:
        record_property(PROPERTY, (way, "by design"))
        assert inside.returncode != 0, f"it works, although {reason}"


def test_no_claim_is_made_twice() -> None:
    names = [case.name for case in CASES]
    assert sorted(names) == sorted(set(names))
