"""Who is asked: what a profile names, and no other when that cannot be had."""

from __future__ import annotations

import pytest

from nono.errors import ConfigError
from nono.policy.document.merge import merge
from nono.policy.schema.profile import ApprovalBackendEntry as Entry
from nono.policy.schema.profile import ApprovalDefaults, Security
from nono.policy.services.approval import (
    TERMINAL,
    Approval,
    ChainBackend,
    TerminalBackend,
    WebhookBackend,
    approval_mistakes,
    approval_of,
)

PHONE = Entry("webhook", url="https://phone.example/ask/")


def security(defaults: ApprovalDefaults | None = None, **entries: Entry) -> Security:
    return Security(approval_backends=entries, approval_defaults=defaults)


def test_the_terminal_is_asked_when_nothing_is_named() -> None:
    assert approval_of(Security(), (), "p") == Approval()
    assert isinstance(Approval().backends[TERMINAL].way, TerminalBackend)
    assert approval_of(security(ApprovalDefaults(timeout_secs=5)), (), "p").timeout_s == 5


def test_a_backend_that_is_named_takes_the_place_of_the_terminal() -> None:
    approval = approval_of(security(phone=PHONE), (), "p")
    assert (approval.default, set(approval.backends)) == ("phone", {"phone"})
    way = approval.backends["phone"].way
    assert isinstance(way, WebhookBackend)
    assert (way.upstream.host, way.target) == ("phone.example", "/ask/")
    assert str(approval) == "through the webhook 'phone' at phone.example"


def test_a_chain_names_others() -> None:
    both = Entry("chain", mode="any", backends=("phone", "here"))
    approval = approval_of(
        security(ApprovalDefaults("both"), phone=PHONE, here=Entry("terminal"), both=both), (), "p"
    )
    assert approval.backends["both"].way == ChainBackend("any", ("phone", "here"))
    assert str(approval) == "through any of phone, here"


@pytest.mark.parametrize(
    ("wrong", "named", "what"),
    [
        (security(phone=PHONE, here=Entry("terminal")), (), "several are named"),
        (security(ApprovalDefaults("phon"), phone=PHONE), (), "called 'phon'"),
        (security(ApprovalDefaults(TERMINAL), phone=PHONE), (), "called 'terminal'"),
        (security(phone=PHONE), ("nobody",), "called 'nobody'"),
        (Security(), ("nobody",), "called 'nobody'"),
        (security(a=Entry("chain", backends=("b",))), (), "called 'b'"),
        (security(a=Entry("chain", backends=("a",))), (), "leads back"),
        (
            security(
                ApprovalDefaults("a"),
                a=Entry("chain", backends=("b",)),
                b=Entry("chain", backends=("c",)),
                c=Entry("chain", backends=("b",)),
            ),
            (),
            "leads back",
        ),
    ],
)
def test_approval_without_one_clear_backend_is_an_error(
    wrong: Security, named: tuple[str, ...], what: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        approval_of(wrong, named, "profile p")
    assert what in caught.value.message
    assert "profile p, security.approval" in caught.value.message


def test_a_chain_in_a_chain_is_no_cycle() -> None:
    chains = security(
        ApprovalDefaults("a"),
        a=Entry("chain", backends=("b", "here")),
        b=Entry("chain", backends=("here", "here")),
        here=Entry("terminal"),
    )
    assert approval_of(chains, ("b",), "p").default == "a"


@pytest.mark.parametrize(
    ("entry", "path"),
    [
        (Entry("webhook"), "url"),
        (Entry("webhook", url="http://phone.example/"), "url"),
        (Entry("webhook", url="https://*.example/"), "url"),
        (Entry("webhook", url="https://phone.example/?a=b"), "url"),
        (Entry("webhook", url="https://u:p@phone.example/"), "url"),
        (Entry("terminal", url="https://phone.example/"), "url"),
        (Entry("terminal", timeout_secs=0), "timeout_secs"),
        (Entry("terminal", backends=("a",)), "backends"),
        (Entry("webhook", url="https://phone.example", mode="any"), "mode"),
        (Entry("chain"), "backends"),
    ],
)
def test_an_entry_that_makes_no_sense_is_a_mistake(entry: Entry, path: str) -> None:
    mistakes = list(approval_mistakes(security(x=entry)))
    assert [where for where, _ in mistakes] == [f"approval_backends.x.{path}"]


def test_http_is_for_loopback() -> None:
    assert not list(approval_mistakes(security(x=Entry("webhook", url="http://127.0.0.1:8080/ask"))))


def test_a_child_profile_merges_backends_but_not_defaults() -> None:
    terminals = {"a": {"type": "terminal"}, "b": {"type": "terminal"}}
    defaults = {"backend": "a", "timeout_secs": 5}
    base = {"security": {"approval_backends": terminals, "approval_defaults": defaults}}
    child = {
        "security": {"approval_backends": {"b": {"type": "chain"}}, "approval_defaults": {"backend": "b"}}
    }
    assert merge(base, child)["security"] == {
        "approval_backends": {"a": {"type": "terminal"}, "b": {"type": "chain"}},
        "approval_defaults": {"backend": "b"},
    }
    assert merge(base, {"security": {}})["security"] == base["security"]
