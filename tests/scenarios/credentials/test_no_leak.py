"""A canary is put where a secret goes; it must not come out of any text that a person or a log could see."""

from __future__ import annotations

import json
import pickle
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from nono.credentials import resolver
from nono.credentials.load import Loaded, Loader
from nono.credentials.phantom import Phantom, SessionToken, make_phantom
from nono.credentials.sources import keyring
from nono.credentials.static import StaticCredential
from nono.credentials.store.vault import Vault
from nono.credentials.values.injection import (
    HeaderInjection,
    HeadersInjection,
    PathInjection,
    QueryInjection,
    injection_of,
)
from nono.credentials.values.reference import KeyringReference, parse_reference
from nono.errors import NonoError
from nono.policy.hosts.upstream import Upstream
from nono.policy.schema.route_rules import Inject
from nono.policy.services.credential_service import CredentialService
from nono.secret import Secret
from support.fake_keyring import CANARY, Memory

HOLDERS: list[object] = [
    Secret(CANARY),
    Phantom("openai", Secret(CANARY)),
    SessionToken(Secret(CANARY)),
    HeaderInjection("Authorization", "Bearer {}", Secret(CANARY)),
    HeadersInjection([("X-A", Secret(CANARY))]),
    PathInjection("/bot{}/", "/bot{}/", Secret(CANARY)),
    QueryInjection("key", Secret(CANARY)),
    StaticCredential(HeaderInjection("X", "{}", Secret(CANARY)), None),
]


@pytest.mark.parametrize("holder", HOLDERS, ids=lambda holder: type(holder).__name__)
def test_no_text_form_of_a_holder_contains_the_secret(holder: object) -> None:
    texts = [
        repr(holder),
        str(holder),
        f"{holder}",
        f"{[holder]}",
        f"{holder!s} {holder!r:>40}",
    ]
    assert all(CANARY not in text for text in texts)


@pytest.mark.parametrize("holder", HOLDERS, ids=lambda holder: type(holder).__name__)
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_no_holder_is_pickled(holder: object, protocol: int) -> None:
    with pytest.raises(TypeError):
        pickle.dumps(holder, protocol)


@pytest.mark.parametrize("holder", HOLDERS, ids=lambda holder: type(holder).__name__)
def test_no_holder_becomes_json(holder: object) -> None:
    with pytest.raises(TypeError):
        json.dumps(holder)


def test_a_loaded_service_does_not_show_its_secret(environ: dict[str, str]) -> None:
    header = Inject()
    service = CredentialService(
        "openai", Upstream("https", "api.test", 443), header, header, "env://A", (), (), "--credential"
    )

    async def post(*arguments: object, **options: object) -> object:
        raise AssertionError("nothing is posted before a request comes")

    loader = Loader(environ | {"A": CANARY}, post, lambda event: None)  # type: ignore[arg-type]  # never called
    loaded = loader.load([service])
    assert isinstance(loaded[0].outcome, Loaded)
    assert CANARY not in repr(loaded)


Failure = Callable[[dict[str, str], Path], object]


def _file(content: bytes, mode: int) -> Failure:
    def fail(environ: dict[str, str], tmp_path: Path) -> object:
        (tmp_path / "key").write_bytes(content)
        (tmp_path / "key").chmod(mode)
        return resolver.resolve_credential(f"file://{tmp_path}/key", environ)

    return fail


def _variable(value: str) -> Failure:
    return lambda environ, tmp_path: resolver.resolve_credential("env://A", environ | {"A": value})


def _store(content: bytes) -> Failure:
    def fail(environ: dict[str, str], tmp_path: Path) -> object:
        Vault(environ).set("a", Secret("x"))
        Path(Vault(environ).path).write_bytes(content)
        return resolver.resolve_credential("a", environ)

    return fail


def _keyring(value: str, query: str = "") -> Failure:
    def fail(environ: dict[str, str], tmp_path: Path) -> object:
        Memory.entries["svc", "acct"] = value
        try:
            reference = f"keyring://svc/acct{query}"
            return resolver.resolve_credential(
                reference, environ | {"PYTHON_KEYRING_BACKEND": "support.fake_keyring.Memory"}
            )
        finally:
            Memory.entries.clear()

    return fail


def _leaky(environ: dict[str, str], tmp_path: Path) -> object:
    leaky = environ | {"PYTHON_KEYRING_BACKEND": "support.fake_keyring.Leaky"}
    return resolver.resolve_credential("keyring://svc/acct", leaky)


def _leaky_write(environ: dict[str, str], tmp_path: Path) -> None:
    leaky = environ | {"PYTHON_KEYRING_BACKEND": "support.fake_keyring.Leaky"}
    keyring.write(KeyringReference("svc", "acct"), Secret(CANARY), leaky)


RAW = CANARY.encode()
FAILURES: dict[str, Failure] = {
    "file, two lines": _file(RAW + b"\n" + RAW, 0o600),
    "file, not UTF-8": _file(RAW + b"\xff", 0o600),
    "file, too long": _file(RAW * 5000, 0o600),
    "file, writable": _file(RAW, 0o666),
    "variable, two lines": _variable(f"{CANARY}\n{CANARY}"),
    "variable, not UTF-8": _variable(f"{CANARY}\udcff"),
    "store, no JSON": _store(b'{"version": 1, "credentials": {"a": "' + RAW),
    "store, no JSON text": _store(b'{"a": "' + RAW + b'\xff"}'),
    "store, other shape": _store(b'{"a": "' + RAW + b'"}'),
    "store, control characters": _store(
        json.dumps({"version": 1, "credentials": {"a": CANARY + "\n"}}).encode()
    ),
    "store, lone surrogate": _store(
        json.dumps({"version": 1, "credentials": {"a": CANARY + "\ud800"}}).encode()
    ),
    "keyring, two lines": _keyring(f"{CANARY}\n{CANARY}"),
    "keyring, not encoded": _keyring(CANARY, "?decode=go-keyring"),
    "keyring, badly encoded": _keyring(f"go-keyring-base64:{CANARY}é", "?decode=go-keyring"),
    "keyring, error while reading": _leaky,
    "keyring, error while writing": _leaky_write,
    "reference that is a key": lambda environ, tmp_path: parse_reference(f"sk-{CANARY}"),
    "op reference": lambda environ, tmp_path: parse_reference(f"op://{CANARY}/a"),
    "header, line end": lambda environ, tmp_path: HeaderInjection("X", "{}", Secret(f"{CANARY}\n")),
    "header, not Latin-1": lambda environ, tmp_path: HeaderInjection("X", "{}", Secret(f"{CANARY}€")),
    "header, bad format": lambda environ, tmp_path: HeaderInjection("X", "", Secret(CANARY)),
    "basic, no colon": lambda environ, tmp_path: injection_of(Inject("basic_auth"), Secret(CANARY)),
    "basic, line end": lambda environ, tmp_path: injection_of(Inject("basic_auth"), Secret(f":{CANARY}\n")),
    "path, slash": lambda environ, tmp_path: PathInjection("/{}", "/{}", Secret(f"{CANARY}/")),
    "headers, line end": lambda environ, tmp_path: HeadersInjection([("X", Secret(f"{CANARY}\n"))]),
    "stored name that is a key": lambda environ, tmp_path: resolver.save(
        f"ghp_{CANARY}", Secret(CANARY), environ
    ),
    "value of two lines": lambda environ, tmp_path: resolver.save("a", Secret(f"{CANARY}\n"), environ),
}


@pytest.mark.parametrize("fail", FAILURES.values(), ids=FAILURES.keys())
def test_no_error_contains_the_secret(
    environ: dict[str, str], tmp_path: Path, fail: Failure, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(NonoError) as caught:
        fail(environ, tmp_path)
    error = caught.value
    shown = "".join(traceback.format_exception(error)) + f"{error!r} {error} {error.message} {error.hint}"
    # What a debugger would follow from the exception: the chained ones and what they hold.
    chained, reached = error.__context__, 0
    while chained is not None and reached < 10:
        shown += repr(chained) + repr(vars(chained)) + repr(chained.args)
        chained, reached = chained.__context__, reached + 1
    captured = capfd.readouterr()
    assert CANARY not in shown + captured.out + captured.err


def test_a_phantom_is_not_shown_either() -> None:
    phantom = make_phantom("openai")
    assert phantom.child_value() not in repr(phantom) + str(phantom) + f"{phantom}"
