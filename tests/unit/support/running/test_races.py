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


@pytest.mark.parametrize(
    ("attempts", "pace", "status"),
    [
        pytest.param(2, 1.0, pytest.ExitCode.TESTS_FAILED, id="too many"),
        pytest.param(1, 1.0, pytest.ExitCode.OK, id="none"),
        pytest.param(2, 6.0, pytest.ExitCode.OK, id="too many in a guest"),
    ],
)
def test_a_run_with_too_many_retries_fails_where_there_are_two_cpus(
    attempts: int,
    pace: float,
    status: pytest.ExitCode,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("NONO_TEST_TRIES", "5000")
    monkeypatch.setattr("support.running.pace.PACE", pace)
    monkeypatch.setattr(request.session, "exitstatus", pytest.ExitCode.OK)
    tally_of(*[attempts] * RACES_MIN).pytest_sessionfinish(request.session)
    assert request.session.exitstatus is status


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
