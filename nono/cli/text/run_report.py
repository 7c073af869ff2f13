"""Word the report after a long run, or one with a proxy: how it ended, and a summary of its requests."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from textwrap import wrap

from nono.amounts import several
from nono.audit.traffic import Traffic
from nono.cli.text.session_text import one_line, reason
from nono.cli.text.wrap_text import COLUMNS
from nono.launch.denials import tried_among
from nono.named_tuple import NamedTuple
from nono.policy.environment.authority import ADDED_CERTIFICATES, CERTIFICATE_BUNDLES
from nono.sessions import ends
from nono.sessions.record import End

LABEL_WIDTH = 12  # width of a row's label, including its indent
LISTED_MAX = 6
USAGE_MAX = 6
DOT = " · "
UNBROKEN = "\xa0"
ROW_LINES_MAX = 4
# As X509_verify_cert_error_string(3) says that the issuer of a certificate is not trusted here; OpenSSL 1.1.1
# has no hyphen.
UNKNOWN_ISSUER = ("local issuer certificate", "self-signed certificate", "self signed certificate")
TRUST = "nono trusts the CAs of this system and of your SSL_CERT_FILE; a company's goes into one of them"
TRUST_TOO = "nono does not check upstreams against {}; with SSL_CERT_FILE={} nono run ... it does"
NO_ADDRESS = "no address was found for "
NOTHING_FOUND = "no name has an address here: is this machine online, and does its DNS answer?"
SWITCHED = 101  # the status that switches a request to a WebSocket


class Ended(NamedTuple):
    """How a run ended."""

    exit_code: int
    end: End
    session_id: str
    duration_s: float
    has_log: bool


def lines_of(
    ended: Ended,
    traffic: Traffic | None,
    unused: tuple[str, str] | None = None,
    of_clients: tuple[str, str] | None = None,
) -> list[str]:
    """Return the lines of the report, none longer than COLUMNS. The first one is empty.

    unused: What unused_proxy() has found; None if the run has an upstream proxy.
    of_clients: What certificates_of_clients() has found.
    """
    first = DOT.join((f"exit {ended.exit_code}", spent(ended.duration_s), f"session {ended.session_id}"))
    lines = ["", f"nono: {first}"]
    if ended.end != End(ends.EXIT, None, ends.ITSELF):
        lines += _row("ended", [reason(ended.end)])
    if traffic is not None:
        lines += _requests(traffic, has_failed=ended.exit_code != 0)
        for host, doubt in traffic.unauthorized.items():
            lines += _row("hint", [f"{host} answered 401: {doubt}"])
        if traffic.failed and unused is not None:
            lines += _row("hint", ["{} is not used; --upstream-proxy {} uses it".format(*unused)])
        elif _found_nothing(traffic):
            lines += _row("hint", [NOTHING_FOUND])
        if any(words in each.reason for each in traffic.failed for words in UNKNOWN_ISSUER):
            lines += _row("hint", [TRUST if of_clients is None else TRUST_TOO.format(*of_clients)])
    if ended.has_log:
        lines += _row("log", [f"nono logs {ended.session_id}", f"nono report {ended.session_id}"])
    return lines


def unused_proxy(environ: Mapping[str, str]) -> tuple[str, str] | None:
    """Return the variable that names an HTTP proxy, and its host and port; None if there is none."""
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        found = re.fullmatch(r"(?:http://)?(?:[^@/]*@)?([a-z0-9.-]+:[0-9]+)/?", environ.get(name, ""), re.I)
        if found is not None:
            return name, found[1]
    return None


def certificates_of_clients(environ: Mapping[str, str], system: Sequence[str]) -> tuple[str, str] | None:
    """Return a variable, and the file of certificates in it that a client trusts and nono does not; or None.

    system: The files in which systems keep their certificates, which nono trusts too.
    """
    if environ.get("SSL_CERT_FILE"):
        return None
    for name in (*ADDED_CERTIFICATES, *CERTIFICATE_BUNDLES):
        file = environ.get(name, "")
        if file not in system and re.fullmatch(r"/[\w./@+-]+", file, re.ASCII) is not None:
            return name, file
    return None


def _found_nothing(traffic: Traffic) -> bool:
    """Return True if a run looked up hosts and no name had an address."""
    reasons = [each.reason for each in traffic.failed]
    return bool(reasons) and not traffic.requests and all(each.startswith(NO_ADDRESS) for each in reasons)


def _requests(traffic: Traffic, *, has_failed: bool) -> Iterator[str]:
    requests = traffic.requests.items()
    tried = frozenset[str]() if has_failed else tried_among(tuple(traffic.blocked))
    totals = {host: sum(statuses.values()) for host, statuses in requests}
    failed = {
        # The reason may name the host again.
        f"{each.host}: {each.reason.removesuffix(f' for {each.host}')}": count
        for each, count in traffic.failed.items()
    }
    yield from _counted("requests", totals, {host: unusual(statuses) for host, statuses in requests})
    yield from _counted("blocked", {call: n for call, n in traffic.blocked.items() if call not in tried})
    yield from _counted("failed", failed)
    models = [row for row in traffic.usage if len(row) > 1]
    total = [text for row in traffic.usage if len(row) == 1 for text in row]
    for row in models[:USAGE_MAX]:
        yield from _row("tokens", row)
    if len(models) > USAGE_MAX:
        yield from _row("", [several(len(models) - USAGE_MAX, "more model"), *total])
    elif total:
        yield from _row("tokens", total)


def spent(seconds: float) -> str:
    """Word a duration, such as 0.4 s, 12 s, 19 m 42 s or 3 h 5 m."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} m"
    return f"{minutes} m {rest} s" if minutes else f"{rest} s"


def _counted(label: str, counts: Mapping[str, int], remarks: Mapping[str, str] = {}) -> Iterator[str]:
    """Yield the row of a total and its parts, the most frequent first."""
    if not counts:
        return
    total = sum(counts.values())
    listed = sorted(counts, key=lambda name: -counts[name])
    parts = [
        one_line(name) + (f" x{counts[name]:,}" if 1 < counts[name] < total else "") + remarks.get(name, "")
        for name in listed[:LISTED_MAX]
    ]
    lines: list[str] = []
    for shown in range(len(parts), 0, -1):
        rest = [f"{len(listed) - shown} more"] if len(listed) > shown else []
        lines = list(_row(label, [*parts[:shown], *rest], f"{total:,}"))
        if len(lines) <= ROW_LINES_MAX:
            break
    yield from lines[:ROW_LINES_MAX]


def unusual(statuses: Mapping[int, int]) -> str:
    """Return the statuses that do not mean success, with how many there were unless all requests had one."""
    total = sum(statuses.values())
    found = [
        f"{status or 'no answer'}" + (f" x{count:,}" if count > 1 or count < total else "")
        for status, count in sorted(statuses.items())
        if not (status == SWITCHED or 200 <= status < 400)
    ]
    return f" ({', '.join(found)})" if found else ""


def _row(label: str, parts: Sequence[str], number: str = "") -> Iterator[str]:
    """Yield a row whose last column holds the parts and continues below itself when it is full."""
    start = f"  {label:<{LABEL_WIDTH - 2}}" + (f"{number:>5}   " if number else "")
    width = COLUMNS - len(start)
    # A part that fits on a line is not broken.
    text = DOT.join(part.replace(" ", UNBROKEN) if len(part) < width else part for part in parts)
    text = text.replace(DOT, f"{UNBROKEN}{DOT.lstrip()}")
    for line in wrap(text, width, break_on_hyphens=False):
        yield start + line.replace(UNBROKEN, " ")
        start = " " * len(start)
