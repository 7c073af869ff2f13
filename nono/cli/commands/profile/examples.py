"""Write the example profiles to the user's directory, with a backup of each one the user has changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from posixpath import exists, join

from nono.cli import atomic_write
from nono.errors import NonoError
from nono.policy.builtin import shipped
from nono.policy.profile.files import read_file, user_directory

KEPT = ".old"  # not the suffix of a profile, so that the backup is not read as one


def write_examples(environ: Mapping[str, str]) -> Iterator[str]:
    """Write the examples and yield a line about each. Raises NonoError if one cannot be written."""
    for name, content in shipped.example_profiles().items():
        path = join(user_directory(environ), f"{name}.json")
        old = read_file(path) if exists(path) else None
        if old == content:
            yield f"{path} is there already"
            continue
        try:
            if old is not None:
                atomic_write.replace(path + KEPT, old)
            atomic_write.replace(path, content)
        except OSError as error:
            raise NonoError(f"Failed to write config to {path}: {error.strerror}") from error
        yield path if old is None else f"{path} (what was different is now {name}.json{KEPT})"
