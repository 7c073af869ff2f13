"""Loads a user's profile in a process that ends: a supervisor would keep 12 MB of pydantic for hours."""

from __future__ import annotations

import os
import pickle
from collections.abc import Mapping
from typing import NoReturn

from nono.policy.profile import Profile
from nono.policy.profile_store import is_path, load_profile, user_profile_names


def load_profile_apart(reference: str, environ: Mapping[str, str]) -> Profile:
    """As load_profile, errors included. Call it before a thread runs; it waits for the process."""
    if not is_path(reference) and reference not in user_profile_names(environ):
        return load_profile(reference, environ)  # a shipped one is not validated
    said, say = os.pipe()
    pid = os.fork()
    if pid == 0:
        _load(reference, environ, say)
    os.close(say)
    with open(said, "rb") as answer:
        pickled = answer.read()
    _, status = os.waitpid(pid, 0)
    # A mistake in the profile, mostly: it is found here once more, and complained about. One that was killed
    # may have said a part.
    if status or not pickled:
        return load_profile(reference, environ)
    profile = pickle.loads(pickled)  # what this very program wrote, in a process of its own
    assert isinstance(profile, Profile)
    return profile


def _load(reference: str, environ: Mapping[str, str], say: int) -> NoReturn:
    """The whole life of the process; it says nothing where it fails."""
    try:
        pickled = pickle.dumps(load_profile(reference, environ))
        with open(say, "wb") as answer:
            answer.write(pickled)
    finally:
        os._exit(0)
