"""A pytest plugin that counts attempts at races that came to nothing; too many of them fail the run.

There is no race if one of the two sides hardly gets a turn, as on a busy machine; then it is tried again.
Without the count, nobody would notice a change that makes the race permanently rarer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from support.running import pace

ATTEMPTS = 10  # per race
PROPERTY = "attempts at the race"
RETRIES_MAX = 0.3  # share of the attempts of a run
RACES_MIN = 10  # per run; with fewer races the share means little

Attempts = Callable[[int], Iterator[int]]


@pytest.fixture
def attempts(record_property: Callable[[str, object], None]) -> Attempts:
    """Return attempts(most), which yields 1, 2, ... for a loop that ends with the first real race."""

    def each(most: int) -> Iterator[int]:
        number = 0
        try:
            for number in range(1, most + 1):
                yield number
        finally:
            record_property(PROPERTY, number)

    return each


class Tally:
    """Count the attempts at each race of a run, in all of its processes."""

    def __init__(self) -> None:
        self.attempts: dict[str, int] = {}

    @property
    def retries(self) -> int:
        return sum(self.attempts.values()) - len(self.attempts)

    @property
    def is_over(self) -> bool:
        """Return True if too many attempts came to nothing."""
        enough = len(self.attempts) >= RACES_MIN
        return enough and self.retries > RETRIES_MAX * sum(self.attempts.values())

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call":
            for name, value in report.user_properties:
                if name == PROPERTY and isinstance(value, int):
                    self.attempts[report.nodeid] = value

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        is_emulated = pace.PACE > 1  # then there may be no second CPU for the second side
        if self.is_over and not is_emulated and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if not self.attempts:
            return
        tries = sum(self.attempts.values())
        terminalreporter.section("races")
        for race, number in sorted(self.attempts.items()):
            if number > 1:
                terminalreporter.line(f"{number} attempts: {race}")
        terminalreporter.line(
            f"{len(self.attempts)} races in {tries} attempts, {self.retries} of them retries"
        )
        if self.is_over:
            terminalreporter.line(
                f"more than {RETRIES_MAX:.0%} retries: look whether these are races still", red=True
            )


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Tally())
