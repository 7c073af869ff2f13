"""Import an agent's login: store its tokens, and write a file of phantoms for runs."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from posixpath import basename, dirname

from nono.credentials.logins.agent_files import (
    MAX_FILE_BYTES,
    AgentFile,
    FoundLogin,
    InsideLogin,
    merged,
    parse,
)
from nono.credentials.logins.provider_login import audience, phantom_of
from nono.credentials.logins.token_store import Granted, LoginStore
from nono.credentials.store.private_file import PrivateFile
from nono.credentials.values.errors import CredentialNotFound, CredentialUnavailable
from nono.disk.regular_file import read_regular_file
from nono.named_tuple import NamedTuple
from nono.policy.services.oauth_routes import OAuthRoute
from nono.printable import shell_word
from nono.private_dir import open_private_dir


class Imported(NamedTuple):
    """The result of an import."""

    outside: str
    inside: str
    tokens: int
    expires_s: int | None
    lock: str | None  # what protects the key of the token store; None: the store is plain text


def import_login(
    name: str, agent: AgentFile, routes: Sequence[OAuthRoute], environ: Mapping[str, str]
) -> Imported:
    """Import the login of `agent`, whose provider's `routes` are given. The file outside stays as it is.

    Importing again replaces the tokens, and the phantoms stay the same. Raises CredentialNotFound if there is
    no file, CredentialUnavailable if it or the store cannot be used.
    """
    path = agent.outside(environ)
    try:
        content = read_regular_file(path, MAX_FILE_BYTES)
    except FileNotFoundError:
        raise CredentialNotFound(
            f"{agent.program} has no login in {path}",
            hint=f"log in with {agent.program} outside, or inside a run, where the login is captured",
        ) from None
    except OSError as error:
        raise CredentialUnavailable(f"{path}: {error.strerror}") from None
    found, document = parse(agent, content, path)
    inside, store = agent.inside(environ), LoginStore(environ)
    with _inside_file(inside).locked() as file:
        before = file.read()  # first, so that an untrusted file leaves no tokens behind
        phantoms = _stored(name, found, routes, store)
        file.replace(merged(agent, before, document, phantoms))
    return Imported(path, inside, len(found.tokens), found.expires_s, store.lock)


def forget_login(agent: AgentFile | InsideLogin, environ: Mapping[str, str]) -> int:
    """Remove the tokens of the agent's provider, and the file of phantoms; return how many tokens.

    Raises CredentialUnavailable if the directory of that file cannot be opened or is not trusted.
    """
    count = LoginStore(environ).purge(f"oauth.{agent.provider}")
    if isinstance(agent, InsideLogin):
        return count
    inside = agent.inside(environ)
    try:
        directory_fd = open_private_dir(dirname(inside), create=False)
    except FileNotFoundError:
        return count
    except OSError as error:
        raise CredentialUnavailable(f"{dirname(inside)}: {error.strerror}") from None
    try:
        with suppress(FileNotFoundError):
            os.unlink(basename(inside), dir_fd=directory_fd)
    finally:
        os.close(directory_fd)
    return count


def _stored(name: str, found: FoundLogin, routes: Sequence[OAuthRoute], store: LoginStore) -> dict[str, str]:
    """Store the tokens and return their phantoms, by field of the response."""
    provider = routes[0].provider
    names, tokens = list(found.tokens), list(found.tokens.values())

    def phantoms(nonces: Sequence[str]) -> dict[str, str]:
        return {
            each: phantom_of(provider, each, nonce, token)
            for each, nonce, token in zip(names, nonces, tokens, strict=True)
        }

    granted = Granted(
        name,
        names,
        lambda nonces: json.dumps({**found.answer, **phantoms(nonces)}),
        found.expires_s,
    )
    nonces, _ = store.add(tokens, *audience(provider, routes), granted)
    return phantoms(nonces)


def _inside_file(path: str) -> PrivateFile:
    name = basename(path)
    if not name.endswith(".json"):
        raise ValueError(f"{shell_word(path)}: not a JSON file")
    return PrivateFile(dirname(path), name.removesuffix(".json"), max_bytes=MAX_FILE_BYTES)
