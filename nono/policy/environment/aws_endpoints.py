"""Find where botocore asks for a person's AWS keys, in its variables and its configuration."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from posixpath import join

from nono import paths

# Who hands out keys: a server of this machine or container, or services that give keys for other ones.
_VARIABLES = (
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_EC2_METADATA_SERVICE_ENDPOINT",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_SIGNIN",
    "AWS_ENDPOINT_URL_SSO",
    "AWS_ENDPOINT_URL_SSO_OIDC",
    "AWS_ENDPOINT_URL_STS",
)
_SERVICES = frozenset({"signin", "sso", "sso_oidc", "sts"})
_SETTINGS = frozenset({"ec2_metadata_service_endpoint", "endpoint_url"})
_LINE = re.compile(r"(\s*)(\w+)\s*[=:]\s*(.*?)\s*", re.ASCII)


def aws_endpoints(environ: Mapping[str, str], text_of: Callable[[str], str | None]) -> Iterator[str]:
    """Yield the URLs that any profile of the person may ask. `text_of`: Reads a file; None if it cannot."""
    yield from filter(None, map(environ.get, _VARIABLES))
    home = paths.home(environ)
    path = environ.get("AWS_CONFIG_FILE") or join(home, ".aws/config")
    if path.startswith("~/"):
        path = join(home, path.removeprefix("~/"))
    service = ""  # whose settings are indented below its name
    for found in map(_LINE.fullmatch, (text_of(path) or "").splitlines()):
        if found is None:
            continue
        indent, name, value = found.groups()
        if not indent:
            service = name.lower()
        if name.lower() in _SETTINGS and (not indent or service in _SERVICES):
            yield value
