"""The programs of the hunt: made from a seed, complete where they are systematic, safe for the machine."""

from __future__ import annotations

import random
from itertools import islice
from pathlib import Path

import pytest

from hunt import corpus, options
from hunt.__main__ import main
from hunt.programs import calls, mixed, signatures, steps, sweeps, turns
from hunt.ways import RUNGS, gap, ways

NAMES = {0: "read", 1: "write", 169: "reboot", 170: "sethostname", 428: "open_tree"}
DIRECTORIES = {"/proc": ["self", "kmsg"], "/proc/self": ["status"], "/dev": ["null", "watchdog0"], "/sys": []}


def listed(path: str) -> list[str]:
    return DIRECTORIES.get(path, [])


def all_sweeps(seed: int) -> dict[str, list[steps.Step]]:
    return mixed.sweeps_of(random.Random(seed), NAMES.get, listed, as_root=False)


def test_a_seed_gives_the_same_programs_again() -> None:
    first, again, other = all_sweeps(1), all_sweeps(1), all_sweeps(2)
    assert first == again
    assert first["typed calls"] != other["typed calls"]


def test_a_program_is_the_same_when_it_comes_back_from_json() -> None:
    for made in all_sweeps(1).values():
        assert steps.from_json(steps.to_json(made[:50])) == tuple(made[:50])


@pytest.mark.parametrize("text", ["{}", "[[]]", '[["nothing"]]', '[["open", null]]', '[["open", ["/"]]]'])
def test_what_is_no_program_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"program|step"):
        steps.from_json(text)


def test_a_name_becomes_the_number_of_this_machine() -> None:
    program = (("call", "read", 0), ("call", "#450", 1), ("open", "/", 0))
    assert steps.numbered(program, {"read": 63}.__getitem__) == (
        ("call", 63, 0),
        ("call", 450, 1),
        ("open", "/", 0),
    )


def test_every_number_of_a_system_call_is_tried() -> None:
    tried = {step[1] for step in calls.odd(NAMES.get, as_root=False)}
    assert {"read", "open_tree", "#2", f"#{calls.CALLS_BELOW - 1}"} <= tried
    assert len(tried) == calls.CALLS_BELOW - 1


def test_what_ends_the_machine_is_left_out() -> None:
    assert not {step[1] for step in calls.odd(NAMES.get, as_root=False)} & calls.LEFT_OUT
    assert (
        not {step[1] for step in calls.typed(random.Random(1), as_root=True, rounds=1)}
        & calls.LEFT_OUT_FOR_ROOT
    )
    assert "sethostname" in {step[1] for step in calls.odd(NAMES.get, as_root=False)}
    assert "sethostname" not in {step[1] for step in calls.odd(NAMES.get, as_root=True)}


def test_every_type_of_a_signature_is_known() -> None:
    for _, types in signatures.signatures():
        for kind in types:
            calls.argument(random.Random(1), kind)


def test_every_option_of_every_level_stands_before_every_connect() -> None:
    options_tried = [step for step in sweeps.options() if step[-1] == "sa:open6"]
    assert {(step[4], step[5]) for step in options_tried} >= {(level, 25) for level in sweeps.OPTION_LEVELS}
    assert len(options_tried) == len(sweeps.OPTION_LEVELS) * (
        sweeps.OPTIONS_BELOW + len(sweeps.KNOWN_OPTIONS)
    )


def test_every_path_is_opened_but_what_ends_the_machine() -> None:
    opened = {step[1] for step in (*sweeps.opens(listed), *sweeps.canaries())}
    assert {"/proc/self/status", "/dev/null", "path:secret"} <= opened
    assert not opened & {"/dev/watchdog0", "/proc/kmsg"}


def test_every_program_of_every_sweep_has_its_turn() -> None:
    batches = {name: steps.in_batches(made, 400) for name, made in all_sweeps(1).items()}
    turns = list(mixed.interleaved(random.Random(1), batches))
    assert len(turns) == sum(map(len, batches.values()))
    assert {name for name, _ in turns[: len(batches)]} == set(batches)


def test_a_random_program_has_its_length() -> None:
    pools = list(all_sweeps(1).values())
    program = mixed.program(random.Random(1), pools, 80, as_root=False)
    assert len(program) in (80, 81)
    assert steps.from_json(steps.to_json(program)) == program


def turns_of(*wanted: str, count: int) -> list[str]:
    """Return the names of the first turns."""
    given = turns.programs(random.Random(1), lambda: all_sweeps(1), wanted.__contains__, as_root=False)
    return [name for name, _ in islice(given, count)]


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        (("random",), ["random"] * 3),
        (("clones",), ["clones"] * 3),
        (("clones", "random"), ["clones", "random", "clones"]),
        ((), []),
    ],
)
def test_only_what_is_wanted_has_its_turn(wanted: tuple[str, ...], names: list[str]) -> None:
    assert turns_of(*wanted, count=3) == names


def test_each_sweep_can_be_chosen_by_its_name() -> None:
    assert set(mixed.SWEEPS) == all_sweeps(1).keys()


def test_a_sweep_that_there_is_not_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--sweep=nothing"])
    assert "invalid choice: 'nothing'" in capsys.readouterr().err


def test_a_gap_covers_no_way_that_promises_more() -> None:
    notify, block = RUNGS[0], next(way for way in RUNGS if way.rung == "block-net")
    assert gap(block, "neighbour/sockets/service: nothing -> 1") is not None
    assert gap(notify, "neighbour/sockets/service: nothing -> 1") is None
    assert gap(notify, "neighbour/files/secret/attributes: a -> b") is not None
    assert gap(notify, "neighbour/files/secret/there: 1 -> 2") is None


def test_each_way_is_tried_with_namespaces_by_both_users() -> None:
    tried = [way for as_root in (False, True) for way in ways(as_root=as_root)]
    assert len({(way.rung, way.namespaces, way.as_root) for way in tried}) == len(RUNGS) * 4


def test_a_host_without_namespaces_has_neither_them_nor_a_private_network() -> None:
    tried = ways(as_root=False, lacks={"namespaces", "network namespace", "listener"})
    assert {(way.rung, way.namespaces) for way in tried} == {
        (rung, "off") for rung in ("landlock", "block-net", "open")
    }


def test_a_command_line_of_nono_is_made_from_a_seed() -> None:
    made = [options.arguments(random.Random(seed)) for seed in range(50)]
    assert made == [options.arguments(random.Random(seed)) for seed in range(50)]
    assert {words[0] for words, _ in made} == set(options.COMMANDS)


@pytest.mark.parametrize(
    ("code", "said", "is_wrong"),
    [
        (0, "", False),
        (2, "nono: error: no such option", False),
        (1, "", True),
        (None, "", True),
        (-11, "x", True),
        (1, "Traceback (most recent call last):\n", True),
    ],
)
def test_a_refusal_has_an_exit_code_with_a_message(code: int | None, said: str, is_wrong: bool) -> None:
    assert (options.complaint(code, said) is not None) == is_wrong


def test_what_is_kept_reads_back(tmp_path: Path) -> None:
    entry = corpus.Entry("auto", (("open", "/", 0),), ("a: 1 -> 2",), "note")
    assert corpus.read(corpus.keep(entry, tmp_path)) == entry
    corpus.keep(entry, tmp_path)
    assert len(corpus.entries(tmp_path)) == 1
