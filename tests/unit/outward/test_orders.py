"""What a person may ask to be carried outward, and what is refused before anything starts."""

from __future__ import annotations

from importlib.machinery import ModuleSpec

import pytest

from nono.errors import ConfigError, UsageError
from nono.outward import orders as module
from nono.outward.orders import Orders, orders
from nono.policy.ports import KeptPort
from nono.policy.suggestions import install_command


def test_an_authority_and_a_collector_are_taken() -> None:
    asked = orders(["rfc3161:https://tsa.example/tsr"], "5", True, "https://otel.example:4318")
    assert asked == Orders(("rfc3161:https://tsa.example/tsr",), 300.0, True, "https://otel.example:4318")


@pytest.mark.parametrize(
    ("url", "port"),
    [
        ("http://localhost:4318", 4318),
        ("http://127.0.0.1/v1/logs", 80),
        ("http://[::1]:4318", 4318),
        ("http://0.0.0.0:4318", 4318),
        ("https://localhost:4318", None),
        ("http://otel.example:4318", None),
        ("http://192.0.2.1:4318", None),
        (None, None),
    ],
)
def test_a_collector_of_this_machine_is_known_by_its_port_alone_unless_a_certificate_proves_it(
    url: str | None, port: int | None
) -> None:
    assert [each.port for each in Orders(otlp=url).kept_ports({})] == ([] if port is None else [port])


@pytest.mark.parametrize(
    ("asked", "is_kept"),
    [
        (Orders(otlp="https://otel.example"), True),
        (Orders(anchors=("key:own", "rfc3161:https://tsa.example")), True),
        (Orders(anchors=("key:own",)), False),
    ],
)
def test_so_is_a_proxy_of_the_person_by_way_of_which_others_are_asked(asked: Orders, is_kept: bool) -> None:
    environ = {"HTTPS_PROXY": "http://ann:secret@localhost:3128", "http_proxy": "127.0.0.1:3129"}
    assert {each.port for each in asked.kept_ports(environ)} == ({3128, 3129} if is_kept else set())
    assert asked.kept_ports({"HTTPS_PROXY": "https://localhost:3128", "ALL_PROXY": "http://proxy:1"}) == ()


def test_a_collector_that_is_a_proxy_too_is_named_as_the_collector() -> None:
    kept = Orders(otlp="http://localhost:4318").kept_ports({"all_proxy": "http://localhost:4318"})
    assert kept == (KeptPort(4318, "sends the audit log to a collector", must_be_held=False),)


@pytest.mark.parametrize(
    ("anchor", "words"),
    [
        ("https://tsa.example", "not an anchor"),
        ("rfc3161:ftp://tsa.example", "expected a URL"),
        ("rfc3161:https://", "expected a URL"),
        ("rfc3161:https://u:p@tsa.example", "holds a password"),
        ("rfc3161:https://u:p@tsa.example:x", "holds a password"),
        ("https://u:p@tsa.example", "holds a password"),
        ("rfc3161:https://tsa.example/a b", "expected a URL"),
        ("rfc3161:https://tsa.example/\x1b[2J", "expected a URL"),
        ("rfc3161:https://tsa.example:0/", "expected a URL"),
        ("key:", "not an anchor"),
    ],
)
def test_what_is_no_anchor_is_refused(anchor: str, words: str) -> None:
    with pytest.raises(UsageError, match=words) as refused:
        orders([anchor], 10, False, None)
    assert "u:p" not in str(refused.value)


@pytest.mark.parametrize("minutes", ["0", "-1", "1.5", "x", "1441", "", "9" * 30])
def test_an_interval_that_is_none_is_refused(minutes: str) -> None:
    with pytest.raises(UsageError, match="expected minutes"):
        orders(["rfc3161:https://tsa.example"], minutes, False, None)


@pytest.mark.parametrize("url", ["https://u:p@otel.example", "ftp://u:p@otel.example", "https://u:p@:x/"])
def test_a_password_in_the_url_of_a_collector_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(UsageError, match="holds a password") as refused:
        orders([], 10, False, url)
    assert "u:p" not in str(refused.value)


@pytest.mark.parametrize(
    ("is_required", "words"),
    [(True, "an anchor is required, and none is named"), (False, "needs --audit-anchor")],
)
def test_settings_of_anchors_without_an_anchor_are_refused(is_required: bool, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        orders([], 10, is_required, "https://otel.example" if is_required else None)


@pytest.mark.parametrize(
    ("anchors", "otlp", "extra"),
    [([], "https://otel.example", "otlp"), (["rfc3161:https://tsa.example"], None, "anchor")],
)
def test_an_extra_that_is_missing_is_named(
    monkeypatch: pytest.MonkeyPatch, anchors: list[str], otlp: str | None, extra: str
) -> None:
    def nothing(name: str) -> ModuleSpec | None:
        return None

    monkeypatch.setattr(module, "find_spec", nothing)
    with pytest.raises(ConfigError) as refused:
        orders(anchors, 10, False, otlp)
    assert refused.value.hint == install_command(extra)
