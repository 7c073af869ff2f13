"""Judge what a client did inside a run of its own."""

from __future__ import annotations

from nono.cli.doctor.client_table import ABSENT, Client
from nono.cli.doctor.finding import Finding, Mark
from nono.named_tuple import NamedTuple

_ERROR, _HINT = "nono: ", "hint: "  # the beginnings of nono's last lines when it starts nothing
_NOISE = ("[nono]", "Picked up JAVA_TOOL_OPTIONS")  # what nono and each JVM print about themselves
_WORD_MAX = 45  # characters: a line has no space for more
_SAID_MAX = 300  # characters
_NOT_STARTED = (126, 127)  # exit codes of sh and env: found but not executable; not found


class Tried(NamedTuple):
    """What was seen of one client."""

    status: int | None  # its exit status; None: it did not end in time
    said: str  # on stderr
    asked: tuple[str, ...]  # the requests that arrived at the server
    reached_proxy: bool  # it asked nono's proxy for the host
    denied: tuple[str, ...] = ()  # why requests for the host were refused
    distrusts: bool = False  # it ended the TLS handshake with nono


def judge(client: Client, tried: Tried) -> Finding | None:
    """Return the finding about a client; None if it is not installed."""
    if tried.status == ABSENT:
        return None
    if client.without_server:
        if tried.status == 0:
            return Finding(client.name, Mark.OK, "works")
        return Finding(client.name, Mark.WARN, _end(tried), client.past_proxy)
    if tried.asked and (tried.status == 0 or not client.is_served):
        return Finding(client.name, Mark.OK, "works")
    if tried.distrusts:
        return Finding(
            client.name, Mark.MISSING, f"rejects nono's certificate: {_end(tried)}", client.no_trust
        )
    if tried.asked:
        meaning = f"reached the server through nono, but {_end(tried)}"
        return Finding(
            client.name, Mark.WARN, meaning, f"try it: nono run -p {client.profile} --allow-cwd -- ..."
        )
    if tried.denied:
        return Finding(client.name, Mark.MISSING, tried.denied[0], "nono why --host HOST says by which rule")
    if not tried.reached_proxy and (refused := _refused_run(client, tried)):
        return refused
    if not tried.reached_proxy and (tried.status in _NOT_STARTED or "Permission denied" in tried.said):
        remedy = f"nono learn -p {client.profile} -- {client.programs[0]} ... finds what to grant"
        return Finding(client.name, Mark.MISSING, f"does not start inside: {_end(tried)}", remedy)
    if not tried.reached_proxy:
        return Finding(client.name, Mark.MISSING, f"did not ask the proxy: {_end(tried)}", client.past_proxy)
    return Finding(client.name, Mark.MISSING, f"did not get an answer: {_end(tried)}", client.no_trust)


def _refused_run(client: Client, tried: Tried) -> Finding | None:
    """Return the finding about a run that nono did not start, in nono's own words; None if it did start."""
    lines = tried.said.splitlines()
    reason = next((line.removeprefix(_ERROR) for line in lines if line.startswith(_ERROR)), None)
    if reason is None:
        return None
    hint = next((line.removeprefix(_HINT) for line in lines if line.startswith(_HINT)), None)
    meaning = f"the run does not start: {reason[:_SAID_MAX]}"
    return Finding(client.name, Mark.MISSING, meaning, hint or "see what is missing on this machine, above")


def _end(tried: Tried) -> str:
    """Return how it ended, with the line that gives the reason: the last of a traceback, else the first."""
    lines = [line.strip() for line in tried.said.splitlines() if line.strip()]
    lines = [line for line in lines if not line.startswith(_NOISE)]
    end = "did not end in time" if tried.status is None else f"ended with status {tried.status}"
    if not lines:
        return end
    said = lines[-1] if any(line.startswith("Traceback") for line in lines) else lines[0]
    short = " ".join(word if len(word) <= _WORD_MAX else f"{word[:_WORD_MAX]}..." for word in said.split())
    return f"{end} ({short[:_SAID_MAX]})"
