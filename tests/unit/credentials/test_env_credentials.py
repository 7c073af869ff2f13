"""nono.credentials.env_credentials: keys that the command itself receives."""

from __future__ import annotations

import pytest

from nono.credentials.env_credentials import read_env_credentials
from nono.credentials.values.errors import CredentialNotFound


def test_a_credential_is_read_into_its_variable() -> None:
    found = read_env_credentials([("env://THERE", "KEY")], {"THERE": "canary-1234"}, print)
    assert found == {"KEY": "canary-1234"}


def test_the_hint_promises_no_secrecy_for_what_the_command_receives() -> None:
    with pytest.raises(CredentialNotFound) as caught:
        read_env_credentials([("env://ABSENT", "KEY")], {"THERE": "canary-1234"}, print)
    assert caught.value.hint == "export ABSENT=... in the shell that starts nono"
