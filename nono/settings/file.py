"""Find and read config.toml."""

from __future__ import annotations

import os
from collections.abc import Mapping
from posixpath import dirname, join

from nono import __version__, paths
from nono.disk.regular_file import read_regular_file
from nono.errors import ConfigError, NonoError
from nono.settings.user_config import UserConfig, as_document, from_document, from_environment, without_file

MAX_BYTES = 256 * 1024


def config_path(environ: Mapping[str, str]) -> str:
    return join(paths.config_dir(environ), "config.toml")


def user_config(environ: Mapping[str, str], *, long_lived: bool = False) -> UserConfig:
    """Return the settings: a variable overrides config.toml, which overrides the default.

    Validation results are cached, so that only a changed file is validated. `long_lived`: this process will
    supervise, so validate in a fork to keep pydantic out of its memory.

    Raises NonoError if the file cannot be read, ConfigError that names the file and every mistake in it.
    """
    path = config_path(environ)
    if not os.path.lexists(path):
        return without_file(environ)
    # Imported here: few people have a file.
    from nono.policy.profile.cache import keep, kept

    raw = _read(path)
    key = _key(raw, environ)
    entry = kept(key, environ)
    if entry is not None:
        return from_document(entry)
    config = _in_fork(path, raw, environ) if long_lived else None
    config = config or _validated(path, raw, environ)  # on failure in the fork, report the mistakes here
    keep(key, as_document(config), environ)
    return config


def _key(raw: bytes, environ: Mapping[str, str]) -> str:
    """Return the cache key for the file, the variables and this code."""
    from hashlib import sha256  # imports OpenSSL, which a start without a file does not need

    from nono.policy.profile.cache import code_stamp

    digest = sha256(sha256(raw).digest())  # fixed length, or a file's end could imitate the parts that follow
    for part in (__version__, *code_stamp(dirname(__file__)), *from_environment(environ).items()):
        digest.update(repr(part).encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _in_fork(path: str, raw: bytes, environ: Mapping[str, str]) -> UserConfig | None:
    from nono.forked import call_in_fork

    return call_in_fork(lambda: _validated(path, raw, environ))


def _validated(path: str, raw: bytes, environ: Mapping[str, str]) -> UserConfig:
    # Imported here, only for a file not seen before: pydantic takes a third of a second.
    import tomllib
    from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE

    from nono.settings.validation import MistakesError, validate

    if raw.startswith((BOM_UTF8, BOM_UTF16_LE, BOM_UTF16_BE)):
        raise ConfigError(f"{path}: begins with a byte order mark: save it as UTF-8 without one")
    try:
        text = raw.decode("utf-8")
        document = tomllib.loads(text)
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: byte {error.start} is not UTF-8.") from error
    except tomllib.TOMLDecodeError as error:
        what, _, place = str(error).removesuffix(")").rpartition(" (at ")
        if not place.startswith("line"):
            place = f"line {text.count(chr(10)) + 1}, at its end"
        raise ConfigError(f"{path}: {place}: {what}") from error
    try:
        return validate(document, from_environment(environ))
    except MistakesError as error:
        raise ConfigError("\n".join(f"{path}: {line}" for line in error.lines)) from error


def _read(path: str) -> bytes:
    try:
        return read_regular_file(path, MAX_BYTES)
    except OSError as error:
        raise NonoError(f"Failed to read config at {path}: {error.strerror}") from error
