"""Resolve the approval backends of a profile, and find the mistakes in them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Literal

from nono.errors import ConfigError
from nono.named_tuple import NamedTuple
from nono.policy.hosts.upstream import Upstream, parse_upstream
from nono.policy.schema.profile import ApprovalBackendEntry, ApprovalDefaults, Security
from nono.policy.suggestions import did_you_mean

TERMINAL = "terminal"
TIMEOUT_S = 60.0  # to answer, unless a rule or the profile says otherwise
ASKING_TIMEOUT_S = 300.0  # the same with --ask, where a person may answer from another terminal

Mistake = tuple[str, str]  # key path, problem


class TerminalBackend(NamedTuple):
    """A person at nono's terminal."""


class WebhookBackend(NamedTuple):
    """An HTTP endpoint to which each question is posted."""

    upstream: Upstream
    target: str  # in origin form


class ChainBackend(NamedTuple):
    """Other backends, of which all must approve or the first to answer decides."""

    mode: Literal["all", "any"]
    backends: tuple[str, ...]


class ApprovalBackend(NamedTuple):
    """One named way to ask."""

    way: TerminalBackend | WebhookBackend | ChainBackend
    timeout_s: float | None = None  # None: the question or the defaults decide


class Approval(NamedTuple):
    """The backends of a run, and the default one for questions that name none."""

    backends: Mapping[str, ApprovalBackend] = {TERMINAL: ApprovalBackend(TerminalBackend())}
    default: str = TERMINAL
    timeout_s: float = TIMEOUT_S

    def __str__(self) -> str:
        """Describe the default backend for a person."""
        way = self.backends[self.default].way
        match way:
            case TerminalBackend():
                return "on the terminal"
            case WebhookBackend(upstream):
                return f"through the webhook '{self.default}' at {upstream.host}"
            case ChainBackend(mode, backends):
                return f"through {mode} of {', '.join(backends)}"


def approval_of(security: Security, named: Iterable[str], label: str) -> Approval:
    """Resolve the backends of a profile with its bases merged in.

    named: backends the profile's rules refer to.
    label: the profile's name in messages.

    Raises ConfigError if a named backend does not exist, if the default is ambiguous or if a chain contains
    itself: nobody else is asked instead.
    """
    entries = security.approval_backends
    defaults = security.approval_defaults or ApprovalDefaults()
    backends = {name: _backend(entry) for name, entry in entries.items()} or Approval().backends
    where = f"{label}, security"
    if defaults.backend is None and len(backends) > 1:
        raise ConfigError(
            f"{where}.approval_backends: several are named, and approval_defaults.backend does not say which "
            "of them is asked.",
            hint=f'approval_defaults: {{"backend": "{next(iter(backends))}"}}',
        )
    default = defaults.backend or next(iter(backends))
    for field, name in (
        ("approval_defaults.backend", default),
        *(
            (f"approval_backends.{chain}", each)
            for chain, entry in entries.items()
            for each in entry.backends
        ),
        *(("approval_backends", name) for name in named),
    ):
        if name not in backends:
            raise ConfigError(
                f"{where}.{field}: no approval backend is called '{name}'.", hint=did_you_mean(name, backends)
            )
    for name in entries:
        if _leads_back(name, entries):
            raise ConfigError(f"{where}.approval_backends.{name}: the chain leads back to itself.")
    return Approval(backends, default, defaults.timeout_secs or TIMEOUT_S)


def approval_mistakes(security: Security) -> Iterator[Mistake]:
    """Yield the mistakes in the entries themselves; key paths start below `security`."""
    for name, entry in security.approval_backends.items():
        for field, what in _entry_mistakes(entry):
            yield f"approval_backends.{name}.{field}", what
    defaults = security.approval_defaults or ApprovalDefaults()
    if defaults.timeout_secs is not None and not defaults.timeout_secs > 0:
        yield "approval_defaults.timeout_secs", "expected seconds, more than 0"


def _backend(entry: ApprovalBackendEntry) -> ApprovalBackend:
    match entry.type:
        case "terminal":
            return ApprovalBackend(TerminalBackend(), entry.timeout_secs)
        case "webhook":
            url = entry.url or ""
            upstream = parse_upstream(url)
            # Some servers distinguish /hook/ from /hook.
            slash = "/" if url.endswith("/") or not upstream.base_path else ""
            return ApprovalBackend(WebhookBackend(upstream, upstream.base_path + slash), entry.timeout_secs)
        case "chain":
            return ApprovalBackend(ChainBackend(entry.mode or "all", entry.backends), entry.timeout_secs)


def _entry_mistakes(entry: ApprovalBackendEntry) -> Iterator[Mistake]:
    if entry.timeout_secs is not None and not entry.timeout_secs > 0:
        yield "timeout_secs", "expected seconds, more than 0"
    if entry.type == "webhook":
        yield from _url_mistakes(entry.url)
    elif entry.url is not None:
        yield "url", f"only a webhook has one, and this is a {entry.type}"
    if entry.type != "chain":
        for field, is_given in (("mode", entry.mode is not None), ("backends", bool(entry.backends))):
            if is_given:
                yield field, f"only a chain has it, and this is a {entry.type}"
    elif not entry.backends:
        yield "backends", "a chain names the backends that it asks"


def _url_mistakes(url: str | None) -> Iterator[Mistake]:
    if url is None:
        yield "url", "a webhook needs one"
        return
    try:
        upstream = parse_upstream(url)
    except ValueError as error:
        yield "url", str(error)
    else:
        if upstream.is_wildcard:
            yield "url", "a wildcard names no one host"


def _leads_back(name: str, entries: Mapping[str, ApprovalBackendEntry]) -> bool:
    reached, waiting = set[str](), list(entries[name].backends)
    while waiting:
        member = waiting.pop()
        if member not in reached:
            reached.add(member)
            waiting += entries[member].backends
    return name in reached
