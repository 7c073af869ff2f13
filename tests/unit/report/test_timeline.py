"""A timeline is bounded, and what happens all the time takes no room from what is unusual."""

from __future__ import annotations

from nono.report.timeline import MOMENTS_MAX, Timeline


def timeline(**counts: int) -> Timeline:
    """Return a timeline of so many different moments of each kind, in this order."""
    made = Timeline()
    for kind, count in counts.items():
        for number in range(count):
            made.add(number, kind, f"{kind} {number}")
    return made


def kinds(made: Timeline) -> list[str]:
    return [moment.kind for moment in made.listed()]


def test_no_more_unusual_moments_are_kept_than_the_limit() -> None:
    made = timeline(rule=MOMENTS_MAX + 5)
    assert (len(made.listed()), made.left_out) == (MOMENTS_MAX, 5)
    assert timeline(rule=MOMENTS_MAX).left_out == 0


def test_requests_leave_room_for_what_is_unusual() -> None:
    made = timeline(request=MOMENTS_MAX, rule=1)
    assert kinds(made)[-1] == "rule"
    assert made.left_out == MOMENTS_MAX - kinds(made).count("request") > 0


def test_what_is_unusual_takes_no_room_of_requests() -> None:
    alone = kinds(timeline(request=MOMENTS_MAX)).count("request")
    assert kinds(timeline(rule=MOMENTS_MAX - alone, request=MOMENTS_MAX)).count("request") == alone


def test_equal_moments_in_a_row_are_one_that_adds_them_up() -> None:
    made = Timeline()
    for what, times in (("a", 2), ("a", 3), ("b", 1), ("a", 1)):
        made.add(None, "request", what, times)
    assert [(moment.what, moment.times) for moment in made.listed()] == [("a", 5), ("b", 1), ("a", 1)]
