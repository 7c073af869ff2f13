"""Be the editor of an agent: start it with pipes and talk to it by lines of JSON-RPC (ACP)."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from support.nono_run import TIMEOUT_S

OFFER = {"fs": {"readTextFile": True, "writeTextFile": True}, "terminal": True}


class Editor:
    """An editor that would do whatever its agent asks. asked: the methods of the agent's requests, in order.

    lines: Everything that the agent has written, line by line.
    """

    def __init__(self, process: subprocess.Popen[bytes], stderr: IO[bytes]) -> None:
        self.process = process
        self.asked: list[str] = []
        self.lines: list[bytes] = []
        self._stderr = stderr
        self._number = 0

    @property
    def stderr(self) -> str:
        self._stderr.seek(0)
        return self._stderr.read().decode()

    def ask(self, method: str, **params: object) -> Any:
        """Return the result of a request. AssertionError if the agent fails or ends."""
        self._number += 1
        self._say({"id": self._number, "method": method, "params": params})
        while True:
            message = self._hear()
            if "method" not in message:
                if message.get("id") == self._number:
                    assert "result" in message, message
                    return message["result"]
            elif "id" in message:
                self.asked.append(message["method"])
                self._say({"id": message["id"], "result": _done(message["method"], message["params"])})

    def leave(self) -> int:
        """Close the agent's input and return its exit code."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        return self.process.wait(TIMEOUT_S)

    def _say(self, message: Mapping[str, object]) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
        self.process.stdin.flush()

    def _hear(self) -> Any:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, f"the agent has ended:\n{self.stderr}"
        self.lines.append(line)
        return json.loads(line)


def _done(method: str, params: Mapping[str, Any]) -> object:
    if method == "session/request_permission":
        once = next(option for option in params["options"] if option["kind"] == "allow_once")
        return {"outcome": {"outcome": "selected", "optionId": once["optionId"]}}
    if method == "terminal/create":
        return {"terminalId": "1"}
    if method == "terminal/output":
        return {"output": "done outside", "truncated": False, "exitStatus": {"exitCode": 0}}
    return {"exitCode": 0} if method == "terminal/wait_for_exit" else {}


@contextmanager
def editor(argv: Sequence[str], environment: Mapping[str, str], cwd: Path) -> Iterator[Editor]:
    """Start an agent. It is killed at the end of the block if it still runs."""
    with (
        tempfile.TemporaryFile() as stderr,
        subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, env=environment, cwd=cwd
        ) as process,
    ):
        try:
            yield Editor(process, stderr)
        finally:
            process.kill()
