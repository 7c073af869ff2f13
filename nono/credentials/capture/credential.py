"""Run a command for a credential when a request first needs it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from functools import partial

import anyio

from nono.audit.credential_events import CaptureAction, CaptureRun, credential_capture
from nono.audit.event import Event
from nono.audit.redact import USUAL, Redaction, redact_argv
from nono.clock import boot_s
from nono.credentials.capture.cache import CapturedCache, Key
from nono.credentials.capture.output import Captured, Unusable, check, read_output
from nono.credentials.helpers.command import helper_environment, run_helper
from nono.credentials.helpers.outcome import (
    Failed,
    Lost,
    NotStarted,
    Outcome,
    Succeeded,
    TimedOut,
    TooLarge,
    told,
)
from nono.credentials.helpers.program import find_program
from nono.credentials.single_flight import SingleFlight
from nono.credentials.values.credential import Injection, LeakDetector, RequestFacts
from nono.credentials.values.errors import CredentialUnavailable
from nono.errors import CredentialError
from nono.policy.schema.route_rules import Capture, Inject
from nono.policy.services import regex_cost
from nono.policy.services.regex_cost import MAX_PATH
from nono.printable import shell_word

PROTOCOL = "nono.credential-provider.v1"
MAX_RUNNING = 4  # at a time; the command chooses paths, and so how many scopes ask at once

# A capture may be a script that calls one of the password managers.
_VARIABLES = ("OP_", "BW_SESSION", "BITWARDENCLI_APPDATA_DIR", "PASSWORD_STORE_")

# Matches a whole argument, the beginning of a path in it, or the value of an assignment for env(1). Any other
# `$` is left alone: in the script of `sh -c` it belongs to the shell.
_VARIABLE = re.compile(r"((?:\w+=)?)\$(?:(\w+)|\{(\w+)\})(?=/|\Z)", re.ASCII)


class CommandCapture:
    """The credential of a `cmd://name` reference on one route.

    A value is kept for cache_ttl_s seconds under its host and scope. The scope is what cache_path_regex
    matches in the path without its query (its first group if it has one), or else the host. Concurrent misses
    with the same host and scope share one run; they share a failure too, which is not kept.
    """

    def __init__(
        self,
        capture: Capture,
        inject: Inject,
        environ: Mapping[str, str],
        report: Callable[[Event], None],
        *,
        session_id: str = "",
        clock: Callable[[], float] = boot_s,
        redaction: Redaction = USUAL,
    ) -> None:
        """Check the configuration and find the program.

        environ: nono's own environment.
        report: records each attempt; if it raises OSError, the credential is not used.
        session_id: of the audit log, "" without one.
        clock: monotonic.

        Raises CredentialUnavailable if the program is missing or not trusted or a variable is not set,
        CredentialError if no output could fit the configuration.
        """
        check(capture, inject)
        self._capture = capture
        self._inject = inject
        self._scope_pattern = _compile(capture)
        command = [_expand(argument, capture, environ) for argument in capture.command]
        if not command:
            raise CredentialError(f"credential_capture '{capture.name}': command is empty")
        self._argv = [_find(command[0], capture, environ), *command[1:]]
        self._environ = helper_environment(environ, *_VARIABLES)
        self._report = report
        self._session_id = session_id
        self._clock = clock
        self._redaction = redaction
        self._limiter = anyio.CapacityLimiter(MAX_RUNNING)
        self._cache = CapturedCache(capture.cache_ttl_s, clock, basic=inject.mode == "basic_auth")
        self._flights = SingleFlight[Key, Injection]()

    def at_hand(self, request: RequestFacts) -> Injection | None:
        return None if self._is_too_long(request) else self._cache.get(self._key(request))

    async def acquire(self, request: RequestFacts) -> Injection:
        """Return an injection, running the command if needed.

        Raises CredentialUnavailable if the command gave no credential, OSError if recording failed.
        """
        if self._is_too_long(request):
            raise CredentialUnavailable(
                f"cmd://{self._capture.name}: a path is longer than the {MAX_PATH} characters that "
                "cache_path_regex is tried on"
            )
        key = self._key(request)
        if (injection := self._cache.get(key)) is not None:
            self._report(self._event(request, key, "cache_hit"))
            return injection
        if self._capture.cache_ttl_s == 0:
            return await self._run(request, key)
        injection, is_first = await self._flights.run(key, partial(self._run, request, key))
        if not is_first:
            self._report(self._event(request, key, "cache_hit"))
        return injection

    def rejected(self, request: RequestFacts) -> None:
        """Forget the cached value after a 401, so that the next request runs the command again."""
        if not self._is_too_long(request):
            self._cache.forget(self._key(request))

    def tripwire(self) -> LeakDetector | None:
        return self._cache.tripwire()

    def _is_too_long(self, request: RequestFacts) -> bool:
        return self._scope_pattern is not None and len(request.path) > MAX_PATH

    def _key(self, request: RequestFacts) -> Key:
        if self._scope_pattern is None:
            return request.host, request.host
        found = self._scope_pattern.search(request.path.partition("?")[0])
        if found is None:
            return request.host, request.host
        return request.host, (found[1] if self._scope_pattern.groups else found[0]) or request.host

    async def _run(self, request: RequestFacts, key: Key) -> Injection:
        """Run the command, record that, and cache its output."""
        facts = self._facts(request, key)
        stdin = self._stdin(facts)
        environ = self._environ | {f"NONO_{name.upper()}": value for name, value in facts.items()}
        async with self._limiter:
            began = self._clock()
            outcome = await run_helper(self._argv, environ, timeout_s=self._capture.timeout_s, stdin=stdin)
            took_s = self._clock() - began
        verdict = self._judge(outcome)
        action = "captured" if isinstance(verdict, Captured) else verdict.action
        self._report(self._event(request, key, action, _run_record(outcome, verdict, took_s)))
        if isinstance(verdict, Unusable):
            command = " ".join(map(shell_word, redact_argv(self._capture.command, self._redaction)))
            raise CredentialUnavailable(
                f"cmd://{self._capture.name}: {verdict.problem}", hint=f"run it in a terminal: {command}"
            )
        self._cache.keep(key, verdict, began)
        return verdict.injection

    def _facts(self, request: RequestFacts, key: Key) -> dict[str, str]:
        return {
            "session_id": self._session_id,
            "request_host": request.host,
            "request_path": request.path,
            "request_method": request.method,
            "cache_scope": key[1],
            "capture_credential": self._capture.name,
            "capture_route": request.route,
        }

    def _stdin(self, facts: Mapping[str, str]) -> bytes | None:
        config = self._capture.provider_config
        if config is not None:
            # A provider may not interact with the person: it has neither a terminal nor a browser.
            message = {"protocol": PROTOCOL, **facts, "config": json.loads(config), "interaction": {}}
            return json.dumps(message).encode("ascii")
        return json.dumps(facts).encode("ascii") if self._capture.stdin == "request_json" else None

    def _judge(self, outcome: Outcome) -> Captured | Unusable:
        match outcome:
            case Succeeded():
                return read_output(outcome.stdout, self._capture, self._inject)
            case Failed():
                return Unusable("command_failed", f"it failed (exit status {outcome.exit_status})")
            case TimedOut():
                return Unusable("timeout", f"it {told(outcome)}")
            case TooLarge():
                return Unusable("output_too_large", f"it {told(outcome)}")
            case NotStarted():
                return Unusable("spawn_failed", f"it {told(outcome)}")
            case Lost():
                return Unusable("wait_failed", f"it {told(outcome)}")

    def _event(
        self,
        request: RequestFacts,
        key: Key,
        action: CaptureAction,
        run: CaptureRun | None = None,
    ) -> Event:
        is_provider = self._capture.provider_config is not None
        return credential_capture(
            action=action,
            name=self._capture.name,
            command=self._argv[0],
            argv=tuple(redact_argv(self._capture.command, self._redaction)),  # with variables unexpanded
            cache_scope=key[1],
            output_format="json" if is_provider or self._capture.allow_headers is not None else "text",
            stdin_mode="request_json" if is_provider else self._capture.stdin,
            route_id=request.route,
            upstream=request.host,
            port=request.port,
            method=request.method,
            path=request.recorded,
            run=run,
        )


def _run_record(outcome: Outcome, verdict: Captured | Unusable, took_s: float) -> CaptureRun:
    match outcome:
        case Succeeded():
            status: int | None = 0
        case Failed():
            status = outcome.exit_status
        case _:
            status = None
    return CaptureRun(
        duration_ms=round(took_s * 1000),
        exit_status=status,
        stdout_bytes=outcome.stdout_bytes if isinstance(outcome, Succeeded | Failed | TimedOut) else None,
        stderr=outcome.stderr if isinstance(outcome, Failed) else None,
        header_names=(verdict.header_names or None) if isinstance(verdict, Captured) else None,
        problem=verdict.problem if isinstance(verdict, Unusable) else None,
    )


def _compile(capture: Capture) -> re.Pattern[str] | None:
    if not capture.cache_path_regex:
        return None
    try:
        pattern = re.compile(capture.cache_path_regex)
    except re.error as error:
        raise CredentialError(
            f"credential_capture '{capture.name}': cache_path_regex is not a regular expression: {error.msg}"
        ) from None
    reason = regex_cost.slow(capture.cache_path_regex)
    if reason is not None:
        raise CredentialError(f"credential_capture '{capture.name}': cache_path_regex: {reason}")
    return pattern


def _expand(argument: str, capture: Capture, environ: Mapping[str, str]) -> str:
    """Replace the variable named in `argument` by its value.

    Raises CredentialUnavailable if it is not set.
    """
    match = _VARIABLE.match(argument)
    if match is None:
        return argument
    name = match[2] or match[3]
    if not environ.get(name):
        raise CredentialUnavailable(f"cmd://{capture.name}: the variable {name} is not set")
    return f"{match[1]}{environ[name]}{argument[match.end() :]}"


def _find(name: str, capture: Capture, environ: Mapping[str, str]) -> str:
    try:
        return find_program(name, environ)
    except CredentialUnavailable as error:
        raise CredentialUnavailable(f"cmd://{capture.name}: {error.message}", hint=error.hint) from None
