"""Which variables and arguments hold a key that a run has loaded."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from nono.audit.event import Event
from nono.errors import NonoError
from nono.launch.proxy.assembly import assemble
from nono.launch.proxy.exposed import LoadedKeys, loaded_keys, warn_of_arguments, withhold
from nono.launch.session import Session
from nono.policy.host_filesystem import HostFilesystem
from nono.policy.request import RunRequest
from nono.policy.resolve import resolve
from nono.policy.schema.profile import Network, Profile
from nono.policy.schema.route_rules import AwsAuth, OAuth2Client
from nono.policy.schema.routes import CustomCredential

KEY = "canary of the route 4711"


class Stage:
    """A run that has loaded the credentials of a profile."""

    def __init__(self, home: Path, environ: Mapping[str, str], **service: Any) -> None:
        self.events: list[Event] = []
        self.warnings: list[str] = []
        environ = {"HOME": str(home), **environ}
        custom = {"svc": CustomCredential(upstream="https://svc.example", **service)}
        profile = Profile(network=Network(credentials=("svc",), custom_credentials=custom))
        resolved = resolve(RunRequest(), profile, environ=environ, cwd="/", fs=HostFilesystem())
        self.session = Session(environ, None, self.events.append, self.warnings.append, lambda lines: None)
        self.keys: LoadedKeys = loaded_keys(assemble(resolved, self.session))

    def dropped(self, variables: Mapping[str, str], handed_out: Mapping[str, str] = {}) -> list[str]:
        return [each.name for each in withhold(self.keys, variables, handed_out, self.session)]


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path, {"SVC_KEY": KEY}, credential_key="env://SVC_KEY", env_var="SVC_KEY")


def test_only_the_variables_that_hold_the_key_are_dropped(stage: Stage) -> None:
    encoded = b64encode(f"user:{KEY}".encode()).decode()
    assert stage.dropped({"A": KEY, "B": f"x{encoded}", "C": KEY[:-1], "D": "\udcff" + KEY}) == [
        "A",
        "B",
        "D",
    ]


def test_a_dropped_variable_is_said_and_recorded_without_its_value(stage: Stage) -> None:
    stage.dropped({"A": KEY, "B": "x"})
    variables = [{"name": "A", "rule": "loaded_key"}]
    assert stage.events == [{"type": "variables_withheld", "variables": variables}]
    assert stage.warnings == ["A is withheld from the command: it holds the key of 'svc'"]


def test_nothing_is_said_where_no_variable_holds_the_key(stage: Stage) -> None:
    assert stage.dropped({"A": "x"}) == []
    assert (stage.events, stage.warnings) == ([], [])


def test_a_credential_of_the_command_may_not_be_that_of_a_route(stage: Stage) -> None:
    assert stage.dropped({}, {"COPY": "another key"}) == []
    with pytest.raises(NonoError, match="COPY would hand out"):
        stage.dropped({}, {"COPY": KEY})


def test_an_argument_with_the_key_is_warned_about_once(stage: Stage) -> None:
    warn_of_arguments(stage.keys, ["curl", f"-H{KEY}", f"-d{KEY}", "x"], stage.session)
    (said,) = stage.warnings
    assert "'svc'" in said
    assert KEY not in said


def test_the_secret_of_an_oauth2_client_is_a_loaded_key(tmp_path: Path) -> None:
    client = OAuth2Client(token_url="https://svc.example/t", client_id="env://ID", client_secret="env://KEPT")
    stage = Stage(tmp_path, {"ID": "the client", "KEPT": KEY}, auth=client, env_var="SVC_TOKEN")
    assert stage.dropped({"A": KEY, "B": "the client"}) == ["A"]


def test_the_keys_of_aws_are_known_before_they_are_used(tmp_path: Path) -> None:
    environ = {"AWS_SECRET_ACCESS_KEY": KEY, "AWS_PROFILE": "production"}
    stage = Stage(tmp_path, environ, aws_auth=AwsAuth(region="r", service="s"))
    assert stage.dropped({"A": KEY, "NODE_ENV": "production"}) == ["A"]
