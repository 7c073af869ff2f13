"""Set the environment variables that lead clients inside the sandbox to the proxy and their phantoms."""

from __future__ import annotations

import re
import shlex
from collections.abc import Container, Mapping, Sequence

from nono.named_tuple import NamedTuple
from nono.policy.environment.authority import ADDED_CERTIFICATES, CERTIFICATE_BUNDLES
from nono.policy.hosts.no_proxy import NoProxyEntry

WGET_SETTINGS = "SYSTEM_WGETRC"  # in place of /etc/wgetrc; ~/.wgetrc and options still come after it
LOOPBACK_NO_PROXY = ("localhost", "127.0.0.1", "::1")


class ServiceVariables(NamedTuple):
    """The variables one service adds.

    `phantoms` maps variable to phantom text, and is empty when the credential did not load. nono.credentials
    reveals the texts; a phantom is made for the command, so the command may see it.
    """

    service: str
    base_urls: tuple[str, ...] = ()  # in addition to <SERVICE>_BASE_URL
    is_reverse: bool = True  # has a base URL; the route of a wildcard upstream has none
    phantoms: Mapping[str, str] = {}

    def __repr__(self) -> str:
        return f"ServiceVariables({self.service!r}, {self.base_urls!r}, {self.is_reverse!r}, ...)"


def base_url_variable(service: str) -> str:
    """Map ``google-ai`` to ``GOOGLE_AI_BASE_URL``, ``1x`` to ``_1X_BASE_URL``. ValueError if empty."""
    stem = re.sub(r"[^A-Za-z0-9]", "_", service.strip("/")).upper()
    if not stem:
        raise ValueError(f"service {service!r} gives no variable name")
    return f"{'_' if stem[0].isdigit() else ''}{stem}_BASE_URL"


def child_env(
    port: int,
    session_token: str | None,
    services: Sequence[ServiceVariables],
    *,
    granted: Container[str] = (),
    no_proxy: Sequence[NoProxyEntry] = (),
    address: str = "127.0.0.1",
) -> dict[str, str]:
    """Return the variables to lay over the command's environment; they override inherited ones.

    port, address: where the proxy listens.
    session_token: the text, revealed by nono.credentials for the command; None if the proxy asks for none.
    services: the services whose base URLs and phantoms are added.
    granted: loopback names the host filter allows; clients must use the proxy for them, because the kernel
        refuses a direct connection.
    no_proxy: further hosts that clients are told to reach without the proxy.

    ALL_PROXY is set in both cases, because an inherited one would bypass the proxy.
    """
    authority = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
    user = "" if session_token is None else f"nono:{_escaped(session_token)}@"
    url = f"http://{user}{authority}"
    loopback = [NoProxyEntry(name, is_suffix=False) for name in LOOPBACK_NO_PROXY if name not in granted]
    direct = list(dict.fromkeys((*loopback, *no_proxy)))
    variables = dict.fromkeys(
        ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "ALL_PROXY", "all_proxy"), url
    )
    emitted = [entry.emitted for entry in direct]
    if address not in emitted and ":" not in address:
        # Clients that tunnel plain http too, as Node does, would make the proxy connect to itself.
        # Clients that ignore ports here request its paths in absolute form, which it also serves.
        # Every client built on httpx rejects an entry in brackets.
        emitted.append(authority)
    variables |= dict.fromkeys(("NO_PROXY", "no_proxy"), ",".join(emitted))
    variables["NONO_NO_PROXY"] = ",".join(map(str, direct))
    if session_token is not None:
        variables["NONO_PROXY_TOKEN"] = session_token
    variables["NODE_USE_ENV_PROXY"] = "1"  # Node's fetch ignores the proxy variables otherwise
    # Yarn 2 and newer read none of the others. They have no list of exceptions, so plain http, as of a
    # registry of the command's own on loopback, stays direct.
    variables["YARN_HTTPS_PROXY"] = url
    for service in services:
        if service.is_reverse:
            names = (base_url_variable(service.service), *service.base_urls)
            variables |= dict.fromkeys(names, f"http://{authority}/{service.service.strip('/')}")
        variables |= service.phantoms
    return variables


def resolver_options(inherited: str) -> str:
    """Return RES_OPTIONS (resolv.conf(5)) that have the C library look names up by TCP.

    For a command that has no UDP. Go takes the C library's resolver, if it can, where the variable is set.
    A name with a dot is asked for as it is before search domains are appended, which Kubernetes has resolvers
    do first: where every host may be reached, the longer name has an address too.
    """
    return f"{inherited} use-vc ndots:1".strip()


def java_options(authority: str, no_proxy: str, inherited: str) -> str:
    """Return JAVA_TOOL_OPTIONS that lead JVMs to the proxy, because they read no proxy variable.

    Only for a proxy that asks for no token: a JVM sends one only with an Authenticator, and prints these
    options.

    authority: The proxy's.
    no_proxy: The value of NO_PROXY.
    inherited: The options set so far.
    """
    host, _, port = authority.rpartition(":")
    direct = [f"*{each}" if each.startswith(".") else each for each in no_proxy.split(",") if each]
    direct = [f"[{each}]" if each.count(":") > 1 else each for each in direct]
    return " ".join(
        [
            *filter(None, [inherited]),
            *(f"-D{scheme}.proxyHost={host} -D{scheme}.proxyPort={port}" for scheme in ("http", "https")),
            # For https too. The JVM splits at blanks and understands quotes like the shell.
            shlex.quote(f"-Dhttp.nonProxyHosts={'|'.join(direct)}"),
        ]
    )


def trust_env(
    bundle: str, added: str, truststore: str | None, extra: Sequence[str], inherited: Mapping[str, str]
) -> dict[str, str]:
    """Return the variables that make clients inside trust the session's CA; they override inherited ones.

    bundle: absolute path of the PEM file.
    added: absolute path of the PEM file for clients that add it to roots of their own.
    truststore: absolute path of the truststore for Java (JKS, password "changeit"); None without one.
    extra: further variable names for the bundle.
    inherited: the environment whose JAVA_TOOL_OPTIONS are kept; the options for Java are appended to them.
    """
    variables = dict.fromkeys(ADDED_CERTIFICATES, added) | dict.fromkeys(
        (*CERTIFICATE_BUNDLES, *extra), bundle
    )
    if truststore is not None:
        options = (
            inherited.get("JAVA_TOOL_OPTIONS", ""),
            # The JVM splits at blanks and understands both kinds of quotes, like the shell.
            shlex.quote(f"-Djavax.net.ssl.trustStore={truststore}"),
            "-Djavax.net.ssl.trustStoreType=JKS",
            "-Djavax.net.ssl.trustStorePassword=changeit",
            # Otherwise Java does not ask an Authenticator for the session token, which is sent as Basic.
            "-Djdk.http.auth.tunneling.disabledSchemes=",
        )
        variables["JAVA_TOOL_OPTIONS"] = " ".join(filter(None, options))
    return variables


def _escaped(text: str) -> str:
    """Return a password as a URL has it."""
    if text.isascii() and text.isalnum():
        return text
    # Imported here: the token of a session is hexadecimal.
    from urllib.parse import quote

    return quote(text, safe="")
