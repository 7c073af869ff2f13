"""support.running.races: what the attempts of a run come to."""

from __future__ import annotations

import pytest

from support.running.races import PROPERTY, RACES_MIN, Attempts, Tally


def report_of(race: str, when: str, attempts: object) -> pytest.TestReport:
    location = ("test_x.py", 1, race)
    properties = [(PROPERTY, attempts)]
    return pytest.TestReport(race, location, {}, "passed", None, when, user_properties=properties)  # type: ignore[arg-type]  # when is one of three


def tally_of(*attempts: int) -> Tally:
    tally = Tally()
    for number, each in enumerate(attempts):
        for when in ("setup", "call", "teardown"):  # each of them has the properties of the test
            tally.pytest_runtest_logreport(report_of(f"test_x.py::race_{number}", when, each))
    return tally


def test_an_attempt_that_is_not_the_first_is_a_retry() -> None:
    assert tally_of(1, 1, 4).retries == 3
    assert tally_of().retries == 0


@pytest.mark.parametrize(
    ("attempts", "is_over"),
    [
        pytest.param([1] * RACES_MIN, False, id="none again"),
        pytest.param([1] * (RACES_MIN - 4) + [2] * 4, False, id="4 of 14"),
        pytest.param([1] * (RACES_MIN - 5) + [2] * 5, True, id="5 of 15"),
        pytest.param([1] * (RACES_MIN - 1) + [5], False, id="4 of 14 at one race"),
        pytest.param([2] * (RACES_MIN - 1), False, id="of fewer races than say much"),
    ],
)
def test_too_many_retries_are_more_than_three_in_ten(attempts: list[int], is_over: bool) -> None:
    assert tally_of(*attempts).is_over is is_over


def test_attempts_are_counted_up_to_the_one_at_which_the_loop_is_left(
    attempts: Attempts, request: pytest.FixtureRequest
) -> None:
    for number in attempts(5):
        if number == 3:
            break
    assert request.node.user_properties == [(PROPERTY, 3)]
    request.node.user_properties.clear()  # it was no race


def test_attempts_end_with_the_last_one(attempts: Attempts, request: pytest.FixtureRequest) -> None:
    assert list(attempts(2)) == [1, 2]
    assert request.node.user_properties == [(PROPERTY, 2)]
    request.node.user_properties.clear()
