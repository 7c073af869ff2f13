"""What works outside works inside: files, terminals and toolchains, without a network."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from support.running.workday_count import PROPERTY
from support.workday.case import WAYS, Case, Workplace, workplace
from support.workday.files import CASES

EVERY_TIME = ("auto", "off")
Record = Callable[[str, object], None]


def _parameters() -> Iterator[object]:
    for case in CASES:
        for way in WAYS:
            marks = () if way in EVERY_TIME and not case.is_slow else (pytest.mark.slow,)
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
