"""What a person is told of a command that was watched."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest

from nono.cli.text.learned_lines import FLAGS_MAX, LISTED_MAX, scope, seen
from nono.launch.learn.plan import LearnPlan
from nono.launch.learn.result import LearnedProfile
from nono.policy.capability import NetworkMode
from nono.policy.learning.observation import Refused


def test_a_name_stays_on_its_line_and_shows_what_it_holds() -> None:
    forged = Refused("/home/ada/a\n  [nono] all is well\x1b[2K\udcff", "write", "no rule grants it")
    lines = seen(LearnedProfile({}, {"x": 1}, (), (forged,), (), 0), "/home/ada")
    assert lines[2:] == ["    ~/a\\n  [nono] all is well\\x1b[2K\\xff (write): no rule grants it"]


@pytest.mark.parametrize("excess", [0, 1])
def test_long_lists_are_cut_and_what_is_cut_is_counted(excess: int) -> None:
    refused = tuple(Refused(f"/x/{number}", "read", "no") for number in range(LISTED_MAX + excess))
    flags = tuple(f"--read /y/{number}" for number in range(FLAGS_MAX + excess))
    lines = seen(LearnedProfile({}, {"x": 1}, (), refused, flags, 0), "/home/ada")
    assert sum("/x/" in line for line in lines) == LISTED_MAX
    assert ("    ... and 1 more" in lines) == bool(excess)
    assert sum("--read /y/" in line for line in lines) == FLAGS_MAX


@pytest.mark.parametrize("dropped", [0, 3])
def test_calls_that_were_not_kept_are_counted(dropped: int) -> None:
    text = "\n".join(seen(LearnedProfile({}, {"x": 1}, (), (), (), dropped), "/home/ada"))
    assert ("3 more calls were not kept" in text) == bool(dropped)
    assert "Nothing was seen" not in text


@pytest.mark.parametrize("network", [NetworkMode.PROXY, NetworkMode.BLOCKED])
def test_a_person_agrees_to_what_is_said_of_the_home_and_the_network(network: NetworkMode) -> None:
    learning = SimpleNamespace(
        resolved=SimpleNamespace(
            path_context=SimpleNamespace(workdir="/w", home="/home/ada.lovelace"),
            capabilities=SimpleNamespace(network=network),
        ),
        bounds=SimpleNamespace(home="/home/ada"),
        watched=(),
        kept_out=("/home/ada/.ssh", "/home/ada/.netrc", "/etc/shadow"),
        inherited=(),
    )
    lines = scope(cast("LearnPlan", learning))
    assert max(map(len, lines)) <= 80
    text = "\n".join(lines)
    assert "the hidden files in /home/ada.lovelace,\n" in text
    assert "but not 2 paths" in text
    assert ("reach  every public host" in text) == (network is NetworkMode.PROXY)
