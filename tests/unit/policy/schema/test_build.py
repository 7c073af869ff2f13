"""nono.policy.schema.build: what a document holds becomes what the annotations of a profile say."""

from __future__ import annotations

from collections import namedtuple
from pathlib import Path
from typing import Annotated, Any

import pytest

from nono.named_tuple import NamedTuple
from nono.policy.capability import SandboxPolicy
from nono.policy.schema import freeze
from nono.policy.schema.annotations import evaluate
from nono.policy.schema.build import build_profile
from nono.policy.schema.profile import ApprovalBackendEntry, Profile
from nono.policy.schema.routes import DomainEntry, RuleEntry


def test_the_frozen_shapes_are_those_of_the_annotations() -> None:
    assert Path(freeze.TARGET).read_text(encoding="utf-8") == freeze.frozen(), "make freeze-policy"


def test_an_empty_document_is_the_default_profile() -> None:
    assert build_profile({}) == Profile()


def test_objects_become_shapes_and_lists_tuples_at_every_depth() -> None:
    rule = {"method": "GET", "path": "/v1", "timeout_secs": 3}
    domains = ["a.test", {"domain": "b.test", "endpoints": [rule]}]
    network = build_profile({"network": {"allow_domain": domains, "open_port_range": [[1, 2]]}}).network
    assert network.allow_domain == (
        "a.test",
        DomainEntry("b.test", (RuleEntry("GET", "/v1", None, None, 3.0),)),
    )
    assert network.open_port_range == ((1, 2),)
    (_, entry) = network.allow_domain
    assert isinstance(entry, DomainEntry)
    assert type(entry.endpoints[0].timeout_secs) is float


def test_a_word_becomes_a_member_of_its_enumeration() -> None:
    assert build_profile({"linux": {"sandbox_policy": "netns"}}).linux.sandbox_policy is SandboxPolicy.NETNS


def test_the_names_of_an_object_stay() -> None:
    backends = build_profile(
        {"security": {"approval_backends": {"me": {"type": "terminal"}}}}
    ).security.approval_backends
    assert backends == {"me": ApprovalBackendEntry("terminal")}


def test_a_value_of_any_kind_stays_as_it_is() -> None:
    provider: dict[str, Any] = {"command": ["x"], "config": {"list": [1, {"a": [2]}]}}
    capture = build_profile({"credential_capture": {"c": {"provider": provider}}}).credential_capture["c"]
    assert capture is not None
    assert capture.provider is not None
    assert capture.provider.command == ("x",)
    assert capture.provider.config == {"list": [1, {"a": [2]}]}


def test_a_field_that_no_shape_has_is_refused() -> None:
    with pytest.raises(TypeError):
        build_profile({"network": {"nothing": 1}})


_Rule = namedtuple("_Rule", "key")  # without annotations of its own


class _Shape(NamedTuple):
    field: Annotated[str, _Rule("path")] = ""


def test_what_annotated_says_of_a_type_is_no_shape() -> None:
    # From Python 3.14 on no value has the annotations of its class.
    evaluate(_Shape)
    assert _Shape.__annotations__ == {"field": Annotated[str, _Rule("path")]}
