"""Refuse a run whose command could choose which certificates the supervisor trusts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from nono.errors import ConfigError
from nono.policy.capability import Grant
from nono.policy.files.grants import covering, leaving
from nono.policy.host_filesystem import way_to
from nono.policy.resolve import Resolved

TYPE_CHECKING = False
if TYPE_CHECKING:
    from nono.policy.services.approval import Approval

# Files that the exporter of the OpenTelemetry SDK reads.
_OF_COLLECTOR = (
    "OTEL_EXPORTER_OTLP_CERTIFICATE",
    "OTEL_EXPORTER_OTLP_LOGS_CERTIFICATE",
    "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE",
    "OTEL_EXPORTER_OTLP_LOGS_CLIENT_CERTIFICATE",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
)


def refuse_writable_trust(resolved: Resolved, environ: Mapping[str, str]) -> None:
    """Raise ConfigError if the command could write the roots, or the AWS configuration, that nono uses.

    Both are read while the command runs: an added CA would receive the real keys.
    """
    _refuse_writable(resolved, environ, _trusted(resolved, environ), "with the keys")
    _refuse_turnable_identities(resolved)


def refuse_writable_trust_of_log(resolved: Resolved, environ: Mapping[str, str]) -> None:
    """Raise ConfigError if the command could write the certificates that identify a collector of the log.

    An added CA would confirm records that nobody keeps.
    """
    named = ((name, environ[name]) for name in _OF_COLLECTOR if environ.get(name))
    _refuse_writable(resolved, environ, (*_of_openssl(environ), *named), "with its log")


def _is_out_of_reach(path: str, grants: Iterable[Grant]) -> bool:
    """Return True if the command can change neither the file at `path` nor a link on the way there."""
    written = [grant for grant in grants if grant.access.writes]
    return not any(covering(written, place) for place in way_to(path))


def _refuse_turnable_identities(resolved: Resolved) -> None:
    """Raise ConfigError if the command could turn a link on the way to a file of a service's TLS identity.

    The files themselves are refused when services are resolved. They are read again during the run, for the
    first connection of each protocol.
    """
    for service in resolved.services:
        for field, path in zip(("tls_ca", "tls_client_cert", "tls_client_key"), service.tls, strict=True):
            if path is not None and not _is_out_of_reach(path, resolved.capabilities.grants):
                raise ConfigError(
                    f"credential '{service.name}': {field} '{path}' is found by a link that the command may "
                    "replace: it could choose whom nono trusts with the key.",
                    hint="name the place it leads to, outside the grants",
                )


def _refuse_writable(
    resolved: Resolved, environ: Mapping[str, str], trusted: Iterable[tuple[str, str]], what: str
) -> None:
    written = leaving(resolved.capabilities.grants)
    for variable, text in trusted:
        for place in way_to(text):
            for grant in covering(written, place):
                named, other = f"without {variable}, nono reads" if variable else "nono reads", ""
                if environ.get(variable):
                    named = f"{variable} names"
                    other = f", or: env -u {variable} nono run ... -- env {variable}=... COMMAND"
                raise ConfigError(
                    f"{named} '{text}', in {grant.path}, which the command may write (source: "
                    f"{grant.source}): it could choose whom nono trusts {what}.",
                    hint=f"keep it outside the grants{other}",
                )


def _trusted(resolved: Resolved, environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield each path that decides which certificates nono trusts, with the variable that may name it.

    "": No variable does.
    """
    if resolved.proxy is not None or _asks_webhook(resolved.approval):
        yield from _of_openssl(environ)
        if aliases := environ.get("HOSTALIASES"):  # glibc reads other names of hosts there, at each look-up
            yield "HOSTALIASES", aliases
    if any(service.aws is not None for service in resolved.services):
        yield from _of_botocore(environ)


def _of_openssl(environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    # Imported here: other runs speak no TLS.
    from nono.disk import root_places

    default = root_places.of_openssl()
    yield default.file_variable, environ.get("SSL_CERT_FILE") or default.file
    for directory in _entries(environ.get("SSL_CERT_DIR") or default.directories):
        yield default.directories_variable, directory


def _of_botocore(environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield what botocore reads: its configuration may name a program to run (credential_process)."""
    # Imported here: few runs sign for AWS.
    from nono.policy.environment.aws_sources import spelled_out

    for variable, usual in (
        ("AWS_CONFIG_FILE", "~/.aws/config"),
        ("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials"),
    ):
        yield variable, spelled_out(environ.get(variable) or usual, environ)
    for directory in _entries(environ.get("AWS_DATA_PATH", "")):
        yield "AWS_DATA_PATH", spelled_out(directory, environ)
    yield "", spelled_out("~/.aws/models", environ)
    for variable in ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "BOTO_CONFIG"):
        if text := environ.get(variable):
            yield variable, text


def _entries(search_path: str) -> Iterable[str]:
    return filter(None, search_path.split(":"))


def _asks_webhook(approval: Approval | None) -> bool:
    if approval is None:
        return False
    # Imported here: few runs ask for approval.
    from nono.policy.services.approval import WebhookBackend

    ways = (backend.way for backend in approval.backends.values())
    return any(isinstance(way, WebhookBackend) and way.upstream.scheme == "https" for way in ways)
