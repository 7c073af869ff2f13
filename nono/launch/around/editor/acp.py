"""Judge what an agent and the editor that has started it say to each other (ACP).

The Agent Client Protocol is JSON-RPC, one message a line. By it an agent may ask the editor to run commands
(`terminal/*`) and to read and write files (`fs/*`), which the editor does outside the sandbox. The agent is
not told that the editor offers this. If it asks all the same, it gets the answer of an editor that does not.
Ways to log in that consist of a command are taken out of what the agent says, as the editor would run it.
https://agentclientprotocol.com/protocol/schema
"""

from __future__ import annotations

import json

from nono.named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

METHOD_NOT_FOUND = -32601
# Lists, objects and their members. What a message becomes in memory is a hundred times as large as these.
PARTS_MAX = 1_000_000
_MEMBERS = frozenset({"jsonrpc", "id", "method", "params", "result", "error"})  # JSON-RPC 2.0
# What an agent may ask of an editor or tell it. Extensions are not here: only the two know what they do.
FOR_EDITORS = frozenset(
    {
        "$/cancel_request",
        "elicitation/complete",
        "elicitation/create",
        "session/request_permission",
        "session/update",
    }
)
DONE_OUTSIDE = frozenset(
    {
        "fs/read_text_file",
        "fs/write_text_file",
        "terminal/create",
        "terminal/kill",
        "terminal/output",
        "terminal/release",
        "terminal/wait_for_exit",
    }
)


class Passed(NamedTuple):
    line: bytes  # with its end


class Withheld(NamedTuple):
    """reason: For a person. answer: What the agent gets for it, with its end; None: nothing."""

    reason: str
    answer: bytes | None = None


def from_editor(line: bytes) -> bytes:
    """Return the line that the agent gets: as it is, without what the editor offers to do outside."""
    message = _parsed(line)
    if message is None or message.get("method") != "initialize":
        return line
    params = message.get("params")
    if isinstance(params, dict):
        offered = params.get("clientCapabilities")
        kept = offered if isinstance(offered, dict) else {}
        kept = {name: value for name, value in kept.items() if name not in ("auth", "fs", "terminal")}
        files = {"readTextFile": False, "writeTextFile": False}
        params["clientCapabilities"] = {**kept, "fs": files, "terminal": False}
    return _line(message)


def from_agent(line: bytes) -> Passed | Withheld:
    """Judge one line of the agent.

    What passes is written anew from what was judged: another parser might find something else in the line.
    """
    if len(line) > PARTS_MAX and sum(map(line.count, (b"[", b"{", b","))) > PARTS_MAX:
        return Withheld("a message of too many parts")
    message = _parsed(line)
    if message is None:
        return Withheld("a line that is not a message")
    # An editor whose parser ignores the case of a name finds its method in "Method" too.
    message = {name: value for name, value in message.items() if name in _MEMBERS}
    if not message:
        return Withheld("a line that is not a message")
    if "method" in message and not _is_for_editors(message["method"]):
        return _refused(message)
    try:
        return Passed(_line(_without_commands(message)))
    except (ValueError, RecursionError):  # a number without end, or lists in lists in lists
        return Withheld("a message that cannot be written")


def _is_for_editors(method: object) -> bool:
    return isinstance(method, str) and method in FOR_EDITORS


def _refused(message: dict[str, Any]) -> Withheld:
    method = message["method"]
    is_outside = isinstance(method, str) and method in DONE_OUTSIDE
    reason = f"{method}, which it would do outside" if is_outside else "an extension of the protocol"
    identity = message.get("id")
    if not isinstance(identity, str | int):
        return Withheld(reason)
    error = {"code": METHOD_NOT_FOUND, "message": "Method not found"}
    return Withheld(reason, _line({"jsonrpc": "2.0", "id": identity, "error": error}))


def _without_commands(value: Any) -> Any:
    """Return a part of a message without the ways to log in that the editor would run as a command."""
    if isinstance(value, list):
        return [_without_commands(each) for each in value]
    if not isinstance(value, dict):
        return value
    kept = {name: _without_commands(each) for name, each in value.items() if _folded(name) != "terminal-auth"}
    for name, ways in kept.items():
        if _folded(name) == "authmethods" and isinstance(ways, list):
            kept[name] = [way for way in ways if not _is_command(way)]
    return kept


def _is_command(way: object) -> bool:
    """Check for a way to log in that the editor would run as a command."""
    return isinstance(way, dict) and any(
        _folded(name) == "type" and each == "terminal" for name, each in way.items()
    )


def _folded(name: str) -> str:
    """Fold a name as parsers do that ignore case, such as Go's."""
    return name.casefold()


def _parsed(line: bytes) -> dict[str, Any] | None:
    """Return a JSON object; None for anything else, such as a batch, which ACP does not have."""
    try:
        found = json.loads(line, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _refuse(constant: str) -> object:
    raise ValueError(f"{constant} is not a JSON number")


def _line(message: dict[str, Any]) -> bytes:
    return json.dumps(message, separators=(",", ":"), allow_nan=False).encode() + b"\n"
