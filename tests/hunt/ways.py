"""The kinds of run that a program is tried in, and what each does not promise."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace

from nono.kernel import landlock

HAS_TCP_RULES = landlock.abi_version() >= 4
HAS_SCOPES = landlock.abi_version() >= 6
PROXY_ONLY: Mapping[str, object] = {"network": {"allow_domain": []}}


@dataclass(frozen=True, slots=True)
class Way:
    """flags are options of `nono run`; stdin is nothing or a terminal, output a file, pipe or the same."""

    rung: str
    flags: tuple[str, ...] = ()
    profile: Mapping[str, object] | None = None
    namespaces: str = "auto"
    as_root: bool = False
    stdin: str = "terminal"
    output: str = "file"

    def __str__(self) -> str:
        who = "root" if self.as_root else "user"
        return f"{self.rung}, namespaces {self.namespaces}, {who}, {self.stdin} to {self.output}"

    @property
    def has_own_terminal(self) -> bool:
        return self.stdin == self.output == "terminal"

    @property
    def has_proxy(self) -> bool:
        return self.profile is not None

    @property
    def arguments(self) -> list[str]:
        return [*self.flags, f"--namespaces={self.namespaces}"]


RUNGS = (
    Way("auto", profile=PROXY_ONLY),
    Way("netns", ("--sandbox-policy=netns",), PROXY_ONLY),
    *((Way("landlock", ("--sandbox-policy=landlock",), PROXY_ONLY),) if HAS_TCP_RULES else ()),
    Way("block-net", ("--block-net",)),
    Way("open"),
)


def ways(*, as_root: bool, lacks: Collection[str] = ()) -> list[Way]:
    """Return the ways to run on a host that lacks these things (support.running.needs).

    A run that asks for nothing is on the rung landlock where there is no listener, and without namespaces
    where there are none, whatever is asked for.
    """
    asked = ("auto", "off") if "namespaces" not in lacks else ("off",)
    rungs = [
        replace(rung, rung="landlock") if rung.rung == "auto" and "listener" in lacks else rung
        for rung in RUNGS
        if rung.rung != "netns" or "network namespace" not in lacks
    ]
    return [replace(rung, namespaces=namespaces, as_root=as_root) for namespaces in asked for rung in rungs]


Condition = Callable[[Way], bool]


@dataclass(frozen=True, slots=True)
class Gap:
    """Something that SECURITY.md says is not promised, and where. sight: of what is seen then."""

    why: str
    sight: re.Pattern[str]
    holds: Condition


def _gap(why: str, sight: str, holds: Condition = lambda way: True) -> Gap:
    return Gap(why, re.compile(sight), holds)


GAPS = (
    _gap(
        "metadata: Landlock restricts neither stat, chmod, utimes nor extended attributes",
        r"neighbour/((files|folders)/\S+/(attributes|written|read|changed)|events/(0x4|0x40000004) )",
    ),
    _gap(
        "access mode 3: Landlock asks no right of an open that neither reads nor writes",
        r"neighbour/events/0x20 ",
    ),
    _gap(
        "without namespaces what others leave in /tmp is there",
        r"neighbour/(files/temporary|names//tmp/|folders//tmp/|events/\w+ /tmp/)|left/files//tmp",
        lambda way: way.namespaces == "off",
    ),
    _gap("an open network", r"packets/|neighbour/sockets/(tcp|udp)", lambda way: way.rung == "open"),
    _gap(
        "Unix sockets with a path, wherever the supervisor does not look at them",
        r"neighbour/sockets/(service|datagrams)",
        lambda way: way.rung != "auto",
    ),
    _gap(
        "on the rung landlock the address behind the proxy's port and behind granted ones",
        r"packets/tcp",
        lambda way: way.rung == "landlock",
    ),
    _gap(
        "modes of a terminal, where the output goes to a program that may set them",
        r"terminal/modes",
        lambda way: way.output == "pipe",
    ),
    _gap(
        "the size of a shared terminal, which a person may have changed too",
        r"terminal/size",
        lambda way: not way.has_own_terminal,
    ),
    _gap(
        "signals and abstract sockets before Landlock V6",
        r"neighbour/(signals|sockets/abstract)|process/",
        lambda way: not HAS_SCOPES,
    ),
)


def gap(way: Way, sight: str) -> Gap | None:
    """Return the first gap that covers a sight; None: a promise is broken."""
    return next((each for each in GAPS if each.sight.match(sight) and each.holds(way)), None)
