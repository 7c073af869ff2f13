"""Finds and reads config.toml."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from posixpath import join

from nono import paths
from nono.errors import ConfigError, NonoError
from nono.settings.user_config import UserConfig, from_environment, without_file

MAX_BYTES = 256 * 1024


def config_path(environ: Mapping[str, str]) -> str:
    return join(paths.config_dir(environ), "config.toml")


def user_config(environ: Mapping[str, str], *, stays: bool = False) -> UserConfig:
    """The settings: a variable before config.toml, that before the default.

    stays: this process will supervise, and not keep in memory what the file is validated with. NonoError:
    the file cannot be read; ConfigError names it and every mistake in it.
    """
    path = config_path(environ)
    if not os.path.lexists(path):
        return without_file(environ)
    if stays:
        # Imported here: without a file nothing needs it.
        from nono.apart import found_apart

        found = found_apart(lambda: _load(path, environ))
        if found is not None:
            return found
    return _load(path, environ)  # where it failed apart, it complains here


def _load(path: str, environ: Mapping[str, str]) -> UserConfig:
    # Imported here, as few people have a file: pydantic takes long.
    import tomllib

    from nono.settings.validation import MistakesError, validate

    try:
        text = _read(path).decode("utf-8")
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
        # O_NONBLOCK: a FIFO in its place must not hold nono up for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise NonoError(f"Failed to read config at {path}: {error.strerror}") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise NonoError(f"Failed to read config at {path}: not a regular file")
    with open(descriptor, "rb") as file:
        raw = file.read(MAX_BYTES + 1)
    if len(raw) > MAX_BYTES:
        raise NonoError(f"Failed to read config at {path}: larger than {MAX_BYTES} bytes")
    return raw
