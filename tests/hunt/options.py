"""Try nono's own command line and environment: expect an exit code, a message, and no traceback."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Sequence

from hunt.corpus import Entry
from hunt.outside.place import Place
from nono.cli.args.options import LEARN, OPTIONS, PROXY, RUN, SHELL, WHY, WRAP, Kind, Option, options_of
from support.nono_run import NONO
from support.running.pace import PACE

LIMIT_S = 20 * PACE
COMMANDS = (RUN, WRAP, WHY, LEARN, PROXY, SHELL)
VALUES = (
    *(
        "",
        "0",
        "-1",
        "1",
        "65535",
        "65536",
        "99999999999999999999",
        "x",
        "/",
        ".",
        "..",
        "~",
        "$HOME",
        "${X",
        "*",
        "//",
    ),
    *(
        "a,b",
        "a=b",
        "=",
        ":",
        "::1",
        "[::1]:80",
        "localhost:1",
        "http://[",
        "https://x/\u0000y"[:9],
        "é",
        "\udcff",
        "\ud800",
    ),
    *(
        "/dev/null",
        "/proc/self/mem",
        "/etc/passwd",
        "auto",
        "off",
        "on",
        "--",
        "-",
        "{}",
        "[]",
        "null",
        "%s%n",
        "a" * 5000,
    ),
    *(
        "$WORKDIR",
        "/nowhere/at/all",
        "openai",
        "env://X",
        "file:///etc/passwd",
        "1e9",
        "512M",
        "-5G",
        "NaN",
        "\n",
        "a\nb",
        "\x1b[31m",
    ),
)
VARIABLES = (
    *(
        "HOME",
        "PATH",
        "TMPDIR",
        "XDG_STATE_HOME",
        "XDG_CONFIG_HOME",
        "XDG_RUNTIME_DIR",
        "TERM",
        "LANG",
        "SHELL",
        "USER",
    ),
    *(
        "NO_COLOR",
        "COLUMNS",
        "NONO_LOG",
        "NONO_CONFIG",
        "NONO_CAP_FILE",
        "SSL_CERT_FILE",
        "PYTHONPATH",
        "HTTP_PROXY",
        "PWD",
    ),
)


def arguments(choice: random.Random) -> tuple[list[str], dict[str, str]]:
    """Draw a command line up to the command, and variables."""
    command = choice.choice(COMMANDS)
    words = [command]
    for option in choice.sample(options_of(command), choice.randrange(1, 5)):
        words += _words(choice, option)
    names = [*VARIABLES, *(option.env for option in OPTIONS if option.env)]
    environment = {name: _variable(choice) for name in choice.sample(names, choice.randrange(0, 4))}
    return words, environment


def _words(choice: random.Random, option: Option) -> list[str]:
    flag = choice.choice(option.flags)
    if option.kind in (Kind.FLAG, Kind.COUNT):
        return [flag]
    values = [_argument(choice) for _ in range(2 if option.kind is Kind.PAIRS else 1)]
    return [f"{flag}={values[0]}", *values[1:]] if choice.random() < 0.5 else [flag, *values]


def _argument(choice: random.Random) -> str:
    return choice.choice(VALUES).replace("\0", "").replace("\ud800", "")


def _variable(choice: random.Random) -> str:
    return _argument(choice)


def complaint(exit_code: int | None, stderr: str) -> str | None:
    """Return what is wrong with the answer to a command line; None: nothing."""
    if exit_code is None:
        return f"options/end: within {LIMIT_S:.0f} s -> never"
    if "Traceback (most recent call last)" in stderr or "internal error" in stderr:
        return f"options/traceback: nothing -> {stderr[-600:]}"
    if exit_code < 0:
        return f"options/signal: nothing -> {-exit_code}"
    if exit_code != 0 and not stderr.strip():
        return f"options/message: something -> nothing, exit code {exit_code}"
    return None


def answer(argv: Sequence[str], place: Place, environment: dict[str, str]) -> tuple[int | None, str]:
    try:
        ended = subprocess.run(
            [*place.stage, *place.sandbox.user.command(argv)],
            env={**place.sandbox.user.environment(), **environment},
            cwd=place.sandbox.project,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=LIMIT_S,
            start_new_session=True,
            check=False,
        )
    except subprocess.TimeoutExpired as late:
        return None, (late.stderr or b"").decode("utf-8", "replace")
    return ended.returncode, ended.stderr.decode("utf-8", "replace")


def try_one(place: Place, choice: random.Random) -> dict[tuple[str, ...], Entry]:
    """Try one command line. Returns what was found, if anything, by what was said."""
    words, environment = arguments(choice)
    tail = ["--help"] if words[0] == PROXY else ["--", "true"]  # a proxy would serve for good
    said = complaint(*answer([*NONO, *words, *tail], place, environment))
    if said is None:
        return {}
    return {("options", said[-200:]): Entry("options", (), (said,), f"{words} with {environment}")}
