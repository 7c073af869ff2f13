"""Refuse what would give the command a key, or control of what fetches or gets one, or lead one elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from nono.errors import ConfigError
from nono.policy.capability import CapabilitySet, Grant
from nono.policy.files.grants import at_every_mount, covering, leaving
from nono.policy.hosts.upstream import is_here, is_upstream, parse_upstream, port_in_the_clear
from nono.policy.path_expansion import (
    Filesystem,
    PathContext,
    canonical_as_far,
    parent_resolved,
)
from nono.policy.ports import KeptPort, PortRange
from nono.policy.services.credential_service import CredentialService
from nono.policy.services.env_credential import EnvCredentials
from nono.printable import shell_word

TYPE_CHECKING = False
if TYPE_CHECKING:
    from nono.policy.hosts.proxy_settings import UpstreamProxySettings
    from nono.policy.services.approval import Approval


def refuse_reach(
    services: Iterable[CredentialService],
    grants: tuple[Grant, ...],
    path_context: PathContext,
    fs: Filesystem,
) -> None:
    """Raise ConfigError if the grants give access to a key file, or control of a program that prints one."""
    for service in services:
        if service.aws is not None:
            # Imported here: few runs sign for AWS.
            from nono.policy.environment.aws_sources import aws_key_files

            for file in aws_key_files(path_context.environ, path_context.cwd):
                refuse_readable_key(service.name, file, grants, fs, may_be_stored=False)
        for file in service.source_files:
            refuse_readable_key(service.name, file, grants, fs, may_be_stored=file != service.tls.key)
        for word in service.capture.command if service.capture is not None else ():
            refuse_writable_program(service.name, word, grants, fs)
        for field, certificate in (("tls_ca", service.tls.ca), ("tls_client_cert", service.tls.cert)):
            if certificate is not None:
                _refuse_writable_certificate(service.name, field, certificate, grants, fs)


def refuse_readable_key(
    name: str, path: str, grants: tuple[Grant, ...], fs: Filesystem, *, may_be_stored: bool = True
) -> None:
    """Raise ConfigError if the file holding the key of `name` is inside the grants, or found through them.

    A link that the command may replace would make another of the person's files the key.

    may_be_stored: False for the key of a client certificate, which is a file only.
    """
    stored = f", or store it: nono credential set {shell_word(name)} (and name it by the bare name)"
    for grant in _grants_on(path, grants, fs):
        raise ConfigError(
            f"credential '{name}': its key lies in {grant.path}, which is granted "
            f"(source: {grant.source}): the command would hold the key itself.",
            hint=f"keep the key outside the grants{stored if may_be_stored else ''}",
        )
    for grant in _turning(path, grants, fs):
        raise ConfigError(
            f"credential '{name}': its key is found by a link in {grant.path}, which the command may write "
            f"(source: {grant.source}): it could have another of your files sent as the key.",
            hint=f"name the place it leads to, outside the grants{stored if may_be_stored else ''}",
        )


def refuse_writable_file(reference: str, variable: str, grants: tuple[Grant, ...], fs: Filesystem) -> None:
    """Raise ConfigError if the command could choose the file whose content it gets in a variable.

    In its place it could leave a link to any file of the person's, which nono reads for the next run. Skips
    a reference to anything but a file.
    """
    if not reference.startswith("file://"):
        return
    path = reference.removeprefix("file://")
    for grant in (*leaving(_grants_on(path, grants, fs)), *_turning(path, grants, fs)):
        raise ConfigError(
            f"env_credentials reads {variable} from a file in {grant.path}, which the command may write "
            f"(source: {grant.source}): it could leave a link to another of your files there.",
            hint="keep it outside the grants",
        )


def refuse_writable_program(name: str, path: str, grants: tuple[Grant, ...], fs: Filesystem) -> None:
    """Raise ConfigError if the command could replace a program run outside the sandbox to fetch a key.

    Skips a path that is not absolute.
    """
    if not path.startswith("/"):
        return
    for grant in _grants_on(path, grants, fs):
        if grant.access.writes:
            raise ConfigError(
                f"credential '{name}': {path} runs outside the sandbox to fetch its key, and lies in "
                f"{grant.path}, which the command may write (source: {grant.source}).",
                hint="keep it outside the grants",
            )


def _refuse_writable_certificate(
    name: str, field: str, path: str, grants: tuple[Grant, ...], fs: Filesystem
) -> None:
    """Raise ConfigError if the command could change which server gets the key, or who presents it."""
    for grant in _grants_on(path, grants, fs):
        if grant.access.writes:
            raise ConfigError(
                f"credential '{name}': {field} '{path}' lies in {grant.path}, which the command may write "
                f"(source: {grant.source}): it could choose whom nono trusts with the key.",
                hint="keep it outside the grants",
            )


def refuse_key_beside_phantom(services: Iterable[CredentialService], handed_out: EnvCredentials) -> None:
    """Raise ConfigError if a variable would hold a real key that a service keeps from the command."""
    for service in services:
        kept = {*service.env_vars, *service.base_url_env_vars, *service.source_variables}
        for _, variable in handed_out:
            if variable in kept:
                raise ConfigError(
                    f"env_credentials hands out {variable}, which credential service '{service.name}' keeps "
                    "from the command.",
                    hint="leave one of them out",
                )


def refuse_elsewhere(service: CredentialService) -> None:
    """Raise ConfigError if the person's own clients send the service's key to another address."""
    if service.elsewhere is None:
        return
    variable, address = service.elsewhere
    leave = f"env -u {variable} nono ... leaves it as it is"
    if is_upstream(address):
        named = shell_word(f"{service.name}={address}")
        where, hint = address, f"--credential {named} sends it there; {leave}"
    else:  # not shown: it may hold a password
        where, hint = "another address, which no service can have", leave
    raise ConfigError(
        f"{variable} of this environment is {where}, and the key '{service.name}' would go to "
        f"{service.upstream}.",
        hint=hint,
    )


def kept_ports(
    services: Sequence[CredentialService],
    upstream_proxy: UpstreamProxySettings | None,
    approval: Approval | None,
    environ: Mapping[str, str],
    fs: Filesystem,
) -> tuple[KeptPort, ...]:
    """Return the ports of this machine where nono itself asks somebody in the clear, each once.

    environ: The caller's, in which botocore finds whom it asks for AWS keys.

    Nothing but the port says who answers: a command that listened there would get the key that is sent, or
    give the answer that is waited for. Over TLS a certificate says who answers.
    """
    found = [each for service in services for each in _of_service(service)]
    found += _of_aws(services, environ, fs)
    if upstream_proxy is not None and upstream_proxy.auth is not None and is_here(upstream_proxy.host):
        found.append(KeptPort(upstream_proxy.port, "sends the password of its upstream proxy"))
    if approval is not None:
        found += _of_approval(approval)
    return tuple({each.port: each for each in reversed(found)}.values())


def with_kept_ports(capabilities: CapabilitySet, kept: tuple[KeptPort, ...]) -> CapabilitySet:
    """Keep more ports. Raises ConfigError like refuse_listening()."""
    refuse_listening(kept, capabilities.ports.listen)
    return capabilities._replace(kept_ports=(*capabilities.kept_ports, *kept))


def refuse_listening(kept: Iterable[KeptPort], listen: tuple[PortRange, ...]) -> None:
    """Raise ConfigError if a kept port is granted for listening."""
    for port, use, _ in kept:
        if any(port in each for each in listen):
            raise ConfigError(
                f"network.listen_port: the command would listen on port {port} of this machine, "
                f"where nono {use}.",
                hint="leave the port out: who answers there runs outside the sandbox",
            )


def _grants_on(path: str, grants: tuple[Grant, ...], fs: Filesystem) -> Iterator[Grant]:
    places = (canonical_as_far(path, fs), parent_resolved(path, fs))
    everywhere = [*at_every_mount(grants, fs)]
    for spelled in (*places, *fs.aliases(places[0])):
        yield from covering(everywhere, spelled)


def _turning(path: str, grants: tuple[Grant, ...], fs: Filesystem) -> Iterator[Grant]:
    """Yield the grants that let the command replace a link on the way to a file."""
    # Imported here: hardly any key lies behind a link.
    from nono.policy.files.links import links_on_the_way

    written = leaving(at_every_mount(grants, fs))
    for link in links_on_the_way(path, fs):
        yield from covering(written, link)


def _of_service(service: CredentialService) -> Iterator[KeptPort]:
    urls = [service.upstream]
    if service.oauth2 is not None:
        urls.append(parse_upstream(service.oauth2.token_url))
    for url in urls:
        if url.scheme == "http":
            yield KeptPort(url.port, f"sends the key of '{service.name}'")


def _of_aws(
    services: Iterable[CredentialService], environ: Mapping[str, str], fs: Filesystem
) -> Iterator[KeptPort]:
    name = next((service.name for service in services if service.aws is not None), None)
    if name is None:
        return
    # Imported here: few runs sign for AWS.
    from nono.policy.environment.aws_sources import aws_endpoints
    from nono.policy.environment.proxies import proxy_urls

    endpoints = aws_endpoints(environ, lambda path: fs.text(fs.canonical(path) or path))
    for url in (*endpoints, *proxy_urls(environ)):
        port = port_in_the_clear(url)
        if port is not None:
            yield KeptPort(port, f"asks for the AWS keys of '{name}'")


def _of_approval(approval: Approval) -> Iterator[KeptPort]:
    # Imported here: few runs ask.
    from nono.policy.services.approval import WebhookBackend

    for name, backend in approval.backends.items():
        if isinstance(backend.way, WebhookBackend) and backend.way.upstream.scheme == "http":
            yield KeptPort(backend.way.upstream.port, f"asks the webhook '{name}' for approval")
