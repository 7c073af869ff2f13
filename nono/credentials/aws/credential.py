"""Provide a pair of AWS keys as a credential; botocore finds and renews them, and signs each request."""

from __future__ import annotations

import asyncio
import logging
import re
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Protocol

import anyio

from nono.clock import boot_s
from nono.credentials.aws.endpoint import scope_of
from nono.credentials.aws.process import CheckProgram, run_as_helpers
from nono.credentials.aws.signature import Keys, SigV4Injection
from nono.credentials.renewal import Lease, Renewal
from nono.credentials.values.credential import Injection, LeakDetector, RequestFacts
from nono.credentials.values.errors import CredentialUnavailable
from nono.credentials.values.tripwire import tripwire_for
from nono.errors import NonoError
from nono.policy.schema.route_rules import AwsAuth
from nono.policy.suggestions import install_command
from nono.printable import shell_word
from nono.secret import Secret

LOAD_TIMEOUT_S = 30.0
# botocore tries to renew keys from 15 minutes before they expire, and requires it from 10 minutes before. So
# keys that it returned are valid for all of valid_s.
_FRESH_S = 60.0
_VALID_S = 360.0

_VISIBLE = re.compile(r"[\x21-\x7e]+", re.ASCII)


class _Frozen(Protocol):
    access_key: str
    secret_key: str
    token: str | None


class _Source(Protocol):
    """botocore.credentials.Credentials."""

    def get_frozen_credentials(self) -> _Frozen: ...


class AwsCredential:
    """The keys of one profile (or of botocore's default chain), for every AWS host of a route.

    Reading files, running a credential process and querying a metadata service all happen in a thread, the
    first and the last with nono's own environment, proxies and network.
    """

    def __init__(
        self,
        auth: AwsAuth,
        environ: Mapping[str, str],
        check: CheckProgram,
        *,
        clock: Callable[[], float] = boot_s,
    ) -> None:
        """environ: The one in which a credential process is found. check: Judges it before it is run."""

        def prepare() -> None:  # no partial, whose repr would show the keys that the environment may hold
            run_as_helpers(environ, check)

        self._auth = auth
        self._prepare = prepare
        self._source: _Source | None = None
        self._pending: Future[Keys] | None = None
        self._renewal = Renewal(self._load, clock=clock)
        self._watched: list[Secret] = []
        self._watcher: LeakDetector | None = None

    def at_hand(self, request: RequestFacts) -> Injection | None:
        keys = self._renewal.at_hand()
        if keys is None:
            return None
        try:
            return SigV4Injection(keys, *scope_of(self._auth, request.host))
        except CredentialUnavailable:  # a host that the command chose below a wildcard; acquire() reports it
            return None

    async def acquire(self, request: RequestFacts) -> Injection:
        """Return an injection.

        Raises CredentialUnavailable if there are no keys, or the host does not show what to sign for.
        """
        scope = scope_of(self._auth, request.host)
        return SigV4Injection(await self._renewal.acquire(), *scope)

    def rejected(self, request: RequestFacts) -> None:
        if self._renewal.forget():
            self._source = None  # reload, because the file may hold new keys by now

    def tripwire(self) -> LeakDetector | None:
        """Return None: a request carries a signature, and the session token is useless without the key."""
        return None

    def unsent(self) -> LeakDetector | None:
        return self._watcher

    async def _load(self) -> Lease[Keys]:
        # Wait again for a load that timed out before: a source that hangs holds one thread, not many.
        if self._pending is None or self._pending.done():
            self._pending = _in_thread(self._read)
        try:
            with anyio.fail_after(LOAD_TIMEOUT_S):
                keys = await asyncio.shield(asyncio.wrap_future(self._pending))
        except TimeoutError:
            raise CredentialUnavailable(f"{self._shown}: no answer within {LOAD_TIMEOUT_S:g} s") from None
        # A recording may still hold the previous key.
        if self._watched[:1] != [keys.secret_key]:
            self._watched = [keys.secret_key, *self._watched[:1]]
            self._watcher = tripwire_for(self._watched)
        return Lease(keys, _FRESH_S, _VALID_S)

    @property
    def _shown(self) -> str:
        return f"AWS profile '{self._auth.profile}'" if self._auth.profile else "AWS default credentials"

    def _read(self) -> Keys:
        """Read the keys, in the thread. CredentialUnavailable never quotes text from the source."""
        try:
            import botocore.session  # type: ignore[import-untyped]  # lazy: an optional extra; ships no types
        except ImportError:
            raise CredentialUnavailable(
                "signing for AWS needs the package botocore", hint=install_command("aws")
            ) from None
        # At lower levels botocore logs canonical requests, session token included, and tracebacks that quote
        # the output of a credential process.
        logging.getLogger("botocore").setLevel(logging.CRITICAL)
        problem = "found no keys"
        frozen = None
        try:
            if self._source is None:
                self._prepare()
                self._source = botocore.session.Session(profile=self._auth.profile).get_credentials()
            if self._source is not None:
                frozen = self._source.get_frozen_credentials()
        except CredentialUnavailable as failure:  # of a credential process
            message, hint = f"{self._shown}: {failure.message}", failure.hint or self._hint
            raise CredentialUnavailable(message, hint=hint) from None
        except NonoError as refused:  # `check` names the service
            raise CredentialUnavailable(refused.message, hint=refused.hint) from None
        except Exception as fault:  # whatever the many kinds of source raise; the text may quote a secret
            problem = f"could not be read ({type(fault).__name__})"
        if frozen is None:
            raise CredentialUnavailable(f"{self._shown}: {problem}", hint=self._hint)
        for text in (frozen.access_key, frozen.secret_key, frozen.token or "-"):
            if not _VISIBLE.fullmatch(text or ""):
                raise CredentialUnavailable(
                    f"{self._shown}: what was found is not a pair of AWS keys", hint=self._hint
                )
        token = None if frozen.token is None else Secret(frozen.token)
        return Keys(frozen.access_key, Secret(frozen.secret_key), token)

    @property
    def _hint(self) -> str:
        profile = f" --profile {shell_word(self._auth.profile)}" if self._auth.profile else ""
        return f"aws sts get-caller-identity{profile} shows whether they are there outside nono"


def _in_thread[T](work: Callable[[], T]) -> Future[T]:
    """Run `work` in a daemon thread, which does not keep the process alive as an executor's thread would.

    Raises CredentialUnavailable if no thread can be started.
    """
    result: Future[T] = Future()
    result.set_running_or_notify_cancel()  # from here on a waiter that gives up does not cancel it

    def run() -> None:
        try:
            result.set_result(work())
        except BaseException as fault:
            result.set_exception(fault)

    try:
        threading.Thread(target=run, name="aws credentials", daemon=True).start()
    except RuntimeError as error:  # the command has used up its user's limit of processes
        raise CredentialUnavailable("no thread can be started to read the AWS keys") from error
    return result
