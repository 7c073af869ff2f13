"""Fakes of the APIs of Anthropic and OpenAI, whose models have an agent run a command.

Usage: model.py CA_FILE COMMAND. Prints the port of each, which is the same on 127.0.0.1 and 127.0.0.2, and
ends with its standard input.
"""

from __future__ import annotations

import json
import sys
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))

from support.models.anthropic import FakeAnthropic
from support.models.openai import FakeOpenAi
from support.servers.http1 import Authority, upstream

# A client goes to the second one through a proxy also where it does not for what is called localhost.
PLACES = ("127.0.0.1", "127.0.0.2")


def main(ca_file: str, command: str) -> None:
    context = Authority(ca_file).server_context("localhost", *PLACES)
    script = f"text((await tools.exec_command({json.dumps({'cmd': command})})).output);"
    with ExitStack() as stack:
        ports = []
        for handler in (FakeAnthropic(command), FakeOpenAi(command, {"exec": lambda _: script})):
            first = stack.enter_context(upstream(handler, context, (PLACES[0], 0)))
            stack.enter_context(upstream(handler, context, (PLACES[1], first.port)))
            ports.append(first.port)
        print(json.dumps(ports), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main(*sys.argv[1:])
