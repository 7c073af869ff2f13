"""Define what a person wants sent to others during a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from urllib.parse import urlsplit

from nono.errors import ConfigError, UsageError
from nono.named_tuple import NamedTuple
from nono.policy.environment.proxies import proxy_urls
from nono.policy.hosts.upstream import port_in_the_clear
from nono.policy.ports import KeptPort
from nono.policy.suggestions import install_command

ANCHOR_EVERY_MIN = 10
ANCHOR_EVERY_MIN_MAX = 24 * 60
RFC3161, KEY = "rfc3161:", "key:"
_TO_COLLECTOR = "sends the audit log to a collector"
_BY_PROXY = "has its log stored or stamped by way of a proxy"


class Orders(NamedTuple):
    """Which anchors are asked, and where records are sent."""

    anchors: tuple[str, ...] = ()  # rfc3161:URL or key:REF
    anchor_every_s: float = ANCHOR_EVERY_MIN * 60.0
    is_anchor_required: bool = False  # start nothing before the first anchor
    otlp: str | None = None  # the URL of a collector

    def kept_ports(self, environ: Mapping[str, str]) -> tuple[KeptPort, ...]:
        """Return the ports of this machine without TLS at which a command could listen for a login.

        That of a collector, and those of the person's proxies, by way of which a collector or an authority is
        asked. An anchor proves itself by its signature.
        """
        uses = {}
        if self.otlp is not None or any(each.startswith(RFC3161) for each in self.anchors):
            uses = dict.fromkeys(map(port_in_the_clear, proxy_urls(environ)), _BY_PROXY)
        uses[port_in_the_clear(self.otlp or "")] = _TO_COLLECTOR
        return tuple(
            KeptPort(port, use, must_be_held=False) for port, use in uses.items() if port is not None
        )


def orders(anchors: Sequence[str], every_min: str | int, is_required: bool, otlp: str | None) -> Orders:
    """Validate the settings. Raises ConfigError or UsageError."""
    for anchor in anchors:
        if anchor.startswith(RFC3161):
            _check_url("--audit-anchor", anchor.removeprefix(RFC3161))
            _check_installed("--audit-anchor", "rfc3161_client", "anchor")
        elif not anchor.startswith(KEY) or anchor == KEY:
            _refuse_password("--audit-anchor", anchor)
            raise UsageError(
                f"--audit-anchor '{anchor}': not an anchor.", hint="rfc3161:URL or key:REFERENCE"
            )
    if is_required and not anchors:
        raise ConfigError(
            "an anchor is required, and none is named.",
            hint="--audit-anchor, or anchors in [audit] of config.toml",
        )
    if otlp is not None:
        check_collector("--audit-otlp", otlp)
    if not anchors and otlp is None:
        raise ConfigError("--audit-anchor-every needs --audit-anchor.")
    return Orders(tuple(anchors), _minutes(str(every_min)) * 60.0, is_required, otlp)


def check_collector(option: str, url: str) -> None:
    """Raise UsageError if `url` is not a collector's URL, ConfigError if the SDK is not installed."""
    _check_url(option, url)
    _check_installed(option, "opentelemetry.exporter.otlp.proto.http", "otlp")


def _minutes(text: str) -> int:
    if text.isascii() and text.isdecimal() and len(text) < 6 and 1 <= int(text) <= ANCHOR_EVERY_MIN_MAX:
        return int(text)
    raise UsageError(f"--audit-anchor-every '{text}': expected minutes, from 1 to {ANCHOR_EVERY_MIN_MAX}.")


def _check_installed(option: str, module: str, extra: str) -> None:
    """Raise ConfigError if an extra is not installed."""
    try:
        is_there = find_spec(module) is not None
    except ModuleNotFoundError:  # its parent package is missing too
        is_there = False
    if not is_there:
        raise ConfigError(f"{option} needs packages that are not installed.", hint=install_command(extra))


def _check_url(option: str, url: str) -> None:
    _refuse_password(option, url)
    try:
        parts = urlsplit(url)
        is_fit = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_fit = False
    if not is_fit or not url.isprintable() or " " in url:
        raise UsageError(f"{option} '{url}': expected a URL that begins with http:// or https://.")


def _refuse_password(option: str, url: str) -> None:
    """Raise UsageError, without quoting it, for a URL with a password, however malformed."""
    authority = url.partition("://")[2].partition("/")[0]
    if "@" in authority:
        # The password would be visible in the log and in process listings.
        raise UsageError(
            f"{option}: the URL holds a password.",
            hint="OTEL_EXPORTER_OTLP_HEADERS may hold a collector's",
        )
