"""What a person is told of a command that was watched."""

from __future__ import annotations

from nono.cli.text.learned_lines import seen
from nono.launch.learn.result import LearnedProfile
from nono.policy.learning.observation import Refused


def test_a_name_stays_on_its_line_and_shows_what_it_holds() -> None:
    forged = Refused("/home/ada/a\n  [nono] all is well\x1b[2K\udcff", "write", "no rule grants it")
    lines = seen(LearnedProfile({}, {"x": 1}, (), (forged,), (), 0), "/home/ada")
    assert lines[2:] == ["    ~/a\\n  [nono] all is well\\x1b[2K\\xff (write): no rule grants it"]
