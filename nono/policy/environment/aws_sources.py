"""Find where botocore gets a person's AWS keys, by its variables and its configuration."""

from __future__ import annotations

import re
import shlex
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
# Files that hold keys, or a token for which keys are given; one is a directory of these.
_FILES = (
    "AWS_CREDENTIAL_FILE",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_LOGIN_CACHE_DIRECTORY",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
)
_SERVICES = frozenset({"signin", "sso", "sso_oidc", "sts"})
_SETTINGS = frozenset({"ec2_metadata_service_endpoint", "endpoint_url"})
# With what is indented below it, which continues it.
_PROCESS = re.compile(r"^[ \t]*credential_process[ \t]*[=:](.*(?:\n[ \t].*)*)", re.I | re.M)
_REFERENCE = re.compile(r"\$(?:(\w+)|\{([^}]*)\})", re.ASCII)
_LINE = re.compile(r"(\s*)(\w+)\s*[=:](.*)", re.ASCII)


def aws_endpoints(environ: Mapping[str, str], text_of: Callable[[str], str | None]) -> Iterator[str]:
    """Yield the URLs that any profile of the person may ask. `text_of`: Reads a file; None if it cannot."""
    yield from filter(None, map(environ.get, _VARIABLES))
    path = spelled_out(environ.get("AWS_CONFIG_FILE") or "~/.aws/config", environ)
    service = ""  # whose settings are indented below its name
    for found in map(_LINE.fullmatch, (text_of(path) or "").splitlines()):
        if found is None:
            continue
        indent, name, value = found.groups()
        if not indent:
            service = name.lower()
        if name.lower() in _SETTINGS and (not indent or service in _SERVICES):
            yield value.strip()


def aws_programs(environ: Mapping[str, str], text_of: Callable[[str], str | None]) -> Iterator[list[str]]:
    """Yield the command lines that any profile of the person has run for keys, like aws_endpoints()."""
    for variable, usual in (
        ("AWS_CONFIG_FILE", "~/.aws/config"),
        ("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials"),
    ):
        text = text_of(spelled_out(environ.get(variable) or usual, environ)) or ""
        for value in _PROCESS.findall(text):
            try:
                words = shlex.split(value)
            except ValueError:
                words = value.split()
            if words:
                yield words


def aws_key_files(environ: Mapping[str, str], cwd: str) -> list[str]:
    """Return what holds keys, by absolute path. The configuration is not among them, nor is /dev/null."""
    named = [environ.get(variable) for variable in _FILES]
    found = (join(cwd, spelled_out(each, environ)) for each in (*named, "~/.aws/credentials") if each)
    return [each for each in found if each != "/dev/null"]


def spelled_out(path: str, environ: Mapping[str, str]) -> str:
    """Return a path as botocore reads it in a variable: with the value of those in it, and the home."""
    path = _REFERENCE.sub(lambda found: environ.get(found[1] or found[2], found[0]), path)
    return join(paths.home(environ), path.removeprefix("~/")) if path.startswith("~/") else path
