"""`nono audit export`: write the logs of sessions in the formats of other tools."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from posixpath import join
from typing import Any, BinaryIO

from nono import paths
from nono.cli.args import argparse_parser
from nono.cli.args.period import PERIOD_HELP, period_s
from nono.cli.commands.audit.found import all_found, the_one
from nono.clock import rfc3339
from nono.disk.descriptor import DIRECTORY_FLAGS
from nono.disk.durable import is_of_the_kernel, unfinished
from nono.errors import ConfigError, NonoError, UsageError, reason_of
from nono.outward.head import head_of
from nono.outward.ocsf.projection import Projection
from nono.outward.tail import BrokenChainError, Tail
from nono.policy.suggestions import install_command
from nono.private_dir import open_private_dir

OCSF, OTLP, IN_TOTO, COSE = "ocsf", "otlp", "intoto", "cose"
_OF_HEAD = (IN_TOTO, COSE)


def add_parser(actions: argparse_parser.Actions) -> None:
    """Add the action to those of `nono audit`."""
    parser = argparse_parser.add_action(actions, "export", "write logs in the formats of other tools")
    which = parser.add_mutually_exclusive_group(required=True)
    argparse_parser.add_session(which, nargs="?")
    which.add_argument("--all", action="store_true", help="every session")
    which.add_argument("--last", type=period_s, metavar="PERIOD", help=PERIOD_HELP)
    parser.add_argument(
        "--format",
        choices=(OCSF, OTLP, IN_TOTO, COSE),
        required=True,
        help="a line a record: ocsf (OCSF 1.8), otlp (OpenTelemetry); the head: intoto, cose (COSE_Sign1)",
    )
    parser.add_argument(
        "--sign-key", metavar="REF", help="key that signs the head: keystore://NAME, file:///PATH"
    )
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--out", metavar="FILE", help="write to FILE instead of standard output")
    where.add_argument(
        "--to", metavar="URL", help="send a collector what it has not received yet (otlp only)"
    )


def export(parsed: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Write the logs. Returns 1 if one was changed, after writing its intact part, or cannot be read.

    Raises NonoError, also if the one log that is meant cannot be read.
    """
    root_path = join(paths.state_root(environ), "audit")
    try:
        root = open_private_dir(root_path, create=False)
    except FileNotFoundError:
        raise NonoError("No session has an audit log.") from None
    except OSError as error:
        raise NonoError(f"the audit logs cannot be read: {root_path}: {error.strerror}") from error
    if parsed.format in _OF_HEAD and parsed.to is None:
        content = _head(parsed, environ, root)
        with _output(parsed.out) as file:
            file.write(content)
        return 0
    if parsed.sign_key is not None:
        raise UsageError("--sign-key is for --format intoto and cose.")
    if parsed.to is not None:
        if parsed.format != OTLP:
            raise UsageError("--to is for --format otlp.")
        # Imported here: it needs the OpenTelemetry SDK.
        from nono.cli.commands.audit import sending

        return sending.send(parsed.to, root, _chosen(parsed, environ))
    return _write_records(parsed, environ, root)


def _write_records(parsed: argparse.Namespace, environ: Mapping[str, str], root: int) -> int:
    """Write the records of the logs that are meant. Returns 1 if any are left out."""
    status = 0
    with _output(parsed.out) as file:
        chosen = _chosen(parsed, environ)
        lines = ((each, line) for each in chosen for line in _lines(root, each, parsed.format))
        for session_id, line in lines:
            match line:
                case NonoError() if parsed.session is not None:
                    raise line
                case NonoError():
                    print(f"nono: {line.message}; it is left out", file=sys.stderr)
                    status = 1
                case BrokenChainError():
                    print(f"nono: session {session_id}: {line}; what follows is left out", file=sys.stderr)
                    status = 1
                case _:
                    file.write(line)
    return status


def _head(parsed: argparse.Namespace, environ: Mapping[str, str], root: int) -> bytes:
    """Return the head of one log in the requested form. Raises NonoError."""
    if parsed.session is None:
        raise UsageError(f"--format {parsed.format} is for one session.")
    if parsed.format == COSE and parsed.sign_key is None:
        raise UsageError("--format cose needs --sign-key.")
    (session_id,) = _chosen(parsed, environ)
    try:
        with _tail(root, session_id) as tail:
            tail.read_on()
            head, digest = head_of(session_id, tail.state), tail.sha256()
    except BrokenChainError as error:
        raise NonoError(f"session {session_id}: {error}, so it has no head") from error
    except OSError as error:
        raise NonoError(f"the log of session {session_id} cannot be read: {error.strerror}") from error
    if head is None:
        raise NonoError(f"the log of session {session_id} is empty.")
    # Imported here, as below: few exports are signed.
    from nono.outward import attestation

    if parsed.sign_key is None:
        return attestation.statement_of(head, rfc3339(), digest) + b"\n"
    from nono.credentials.signing import keystore
    from nono.kernel import process

    process.keep_memory_private()
    key = keystore.load(parsed.sign_key, environ, lambda sentence: print(sentence, file=sys.stderr))
    if parsed.format == IN_TOTO:
        return attestation.signed(head, rfc3339(), key.public, key.sign, digest)
    if find_spec("cbor2") is None:
        raise ConfigError(
            "--format cose needs packages that are not installed.", hint=install_command("cose")
        )
    from nono.outward import cose

    return cose.sign1(head, key.public, key.sign)


def _chosen(parsed: argparse.Namespace, environ: Mapping[str, str]) -> list[str]:
    """Return the ids of the chosen sessions, the oldest first. Raises NonoError."""
    if parsed.session is not None:
        return [the_one(parsed.session, environ).session_id]
    since_ms = 0 if parsed.all else int((time.time() - parsed.last) * 1000)
    return [each.session_id for each in reversed(all_found(environ)) if each.began_unix_ms >= since_ms]


@contextmanager
def _tail(root: int, session_id: str) -> Iterator[Tail]:
    session = os.open(session_id, DIRECTORY_FLAGS, dir_fd=root)
    try:
        with Tail(session) as tail:
            yield tail
    finally:
        os.close(session)


def _lines(root: int, session_id: str, form: str) -> Iterator[bytes | BrokenChainError | NonoError]:
    """Yield a line for each record, and at the end the error that prevents exporting the rest, if any."""
    projection, line_of = Projection(session_id, os.uname().nodename), _line_of(form)
    try:
        with _tail(root, session_id) as tail:
            for link in tail.records():
                yield line_of(projection.document(link)).encode("utf-8") + b"\n"
    except BrokenChainError as error:
        yield error
    except OSError as error:
        yield NonoError(f"the log of session {session_id} cannot be read: {error.strerror}")


def _line_of(form: str) -> Any:
    if form == OCSF:
        return lambda document: json.dumps(document, separators=(",", ":"))
    # Imported here: it needs the OpenTelemetry SDK.
    from nono.outward.otlp import json_line, resource

    of = resource(os.uname().nodename)
    return lambda document: json_line(document, of)


@contextmanager
def _output(path: str | None) -> Iterator[BinaryIO]:
    """Yield the file to write to. A file is replaced as a whole or left as it was. Raises NonoError."""
    if path is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    try:
        # /dev/stdout is a link of the kernel, which root would replace.
        with open(path, "wb") if is_of_the_kernel(path) else unfinished(None, path) as file:
            yield file
    except OSError as error:
        raise NonoError(f"{path} cannot be written: {reason_of(error)}") from error
