"""References: each accepted form beside the refused one that differs in one thing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nono.credentials.values.reference import (
    STEERING_VARIABLES,
    BitwardenReference,
    CaptureReference,
    CredentialReference,
    EnvironmentReference,
    FileReference,
    KeyringReference,
    OnePasswordReference,
    PassReference,
    StoredReference,
    parse_reference,
)
from nono.credentials.values.shapes import SHAPES
from nono.errors import CredentialError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("openai", StoredReference("openai")),
        ("google-ai", StoredReference("google-ai")),
        ("env://GITHUB_TOKEN", EnvironmentReference("GITHUB_TOKEN")),
        ("env://x", EnvironmentReference("x")),
        ("file:///run/secrets/key", FileReference("/run/secrets/key")),
        ("file:///a b/..c", FileReference("/a b/..c")),
        ("keyring://svc/acct", KeyringReference("svc", "acct")),
        ("keyring://gh:github.com/me@x.org", KeyringReference("gh:github.com", "me@x.org")),
        ("keyring://svc/acct?decode=go-keyring", KeyringReference("svc", "acct", go_keyring=True)),
        ("op://vault/item/field", OnePasswordReference("vault/item/field")),
        ("op://my vault/item/section/field", OnePasswordReference("my vault/item/section/field")),
        ("op://-v/-i/-f", OnePasswordReference("-v/-i/-f")),
        ("bw://id", BitwardenReference("id")),
        ("bw://id/username", BitwardenReference("id", "username")),
        ("pass://entry", PassReference("entry")),
        ("pass://work/mail/me@x.org", PassReference("work/mail/me@x.org")),
        ("cmd://gh_token", CaptureReference("gh_token")),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_reference_is_parsed(text: str, expected: CredentialReference) -> None:
    assert parse_reference(text) == expected


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "name"),
        ("open ai", "name"),
        ("-openai", "name"),
        ("open.ai", "name"),
        ("x" * 65, "name"),
        ("öpenai", "name"),
        ("openai\n", "name"),
        ("env://", "variable"),
        ("env://A-B", "variable"),
        ("env://A\n", "variable"),
        ("env://ld_preload", "steers"),
        ("file://relative", "absolute"),
        ("file://", "absolute"),
        ("file:///", "root directory"),
        ("file:///a/../b", r"'\.\.'"),
        ("file:///a\nb", "character"),
        ("file:///a$b", "character"),
        ("file:///a\0b", "character"),
        ("keyring://svc", "service and an account"),
        ("keyring://svc/", "empty"),
        ("keyring:///acct", "empty"),
        ("keyring://a/b/c", "service and an account"),
        ("keyring://svc/acct#x", "fragment"),
        ("keyring://svc/acct?decode=hex", "query"),
        ("keyring://svc/acct?", "query"),
        ("keyring://svc/a;b", "character"),
        ("keyring://svc/" + "a" * 1100, "1024 bytes"),
        ("keyring://svc/sk-proj-c4n4ryC4N4RYc4n4ry", "looks like a key"),
        ("op://vault/item", "vault, an item and a field"),
        ("op://a/b/c/d/e", "vault, an item and a field"),
        ("op://vault//field", "empty"),
        ("op://vault/item/field/", "empty"),
        ("op:///item/field", "empty"),
        ("op://vault/item/field?attribute=otp", "query"),
        ("op://vault/item/field#x", "fragment"),
        ("op://vault/item/$(id)", "character"),
        ("op://vault/item/a\nb", "character"),
        ("op://vault/item/" + "a" * 1100, "1024 bytes"),
        ("bw://", "empty"),
        ("bw://id/", "empty"),
        ("bw://id/a/b", "an item and at most a field"),
        ("bw://-id", "start with '-'"),
        ("bw://id/--raw", "start with '-'"),
        ("bw://id=1", "'='"),
        ("bw://id?x", "query"),
        ("bw://i`d`", "character"),
        ("pass://", "empty"),
        ("pass:///abs", "empty"),
        ("pass://a/../b", r"'\.\.'"),
        ("pass://./a", r"'\.'"),
        ("pass://-c", "start with '-'"),
        ("pass://a/-c", "start with '-'"),
        ("pass://a\0b", "character"),
        ("pass://a#b", "fragment"),
        ("cmd://", "capture's name"),
        ("cmd://a-b", "capture's name"),
        ("cmd://a/b", "capture's name"),
        ("cmd://a\n", "capture's name"),
        ("apple-password://a/b", "macOS"),
        ("vault://x", "unknown scheme"),
        ("ENV://x", "unknown scheme"),
        ("env:NAME", "name"),
    ],
)
def test_a_malformed_reference_is_refused_by_the_part_that_is_wrong(text: str, part: str) -> None:
    with pytest.raises(CredentialError, match=part):
        parse_reference(text)


@pytest.mark.parametrize("name", sorted(STEERING_VARIABLES))
def test_no_variable_that_steers_programs_is_a_source(name: str) -> None:
    with pytest.raises(CredentialError, match="steers"):
        parse_reference(f"env://{name}")
    assert parse_reference(f"env://{name}_2") == EnvironmentReference(f"{name}_2")


@pytest.mark.parametrize(
    "prefix",
    [
        "sk-proj-",
        "sk-ant-api03-",
        "ghp_",
        "glpat-",
        "AIza",
        "env://sk-",
        "op://",
        "op://v/i/sk-",
        "bw://ghp_",
        "pass://a/glpat-",
        "cmd://sk_",
    ],
)
def test_the_error_about_a_pasted_key_does_not_repeat_it(prefix: str) -> None:
    with pytest.raises(CredentialError) as caught:
        parse_reference(f"{prefix}c4n4ryC4N4RYc4n4ry")
    assert "c4n4ry" not in f"{caught.value!r} {caught.value} {caught.value.hint}"


@pytest.mark.parametrize("provider", ["groq", "xai", "perplexity"])
def test_a_name_that_begins_like_a_key_is_one_unless_it_is_as_long(provider: str) -> None:
    shape = SHAPES[provider]
    name = f"{shape.prefix}account-of-the-team"
    assert parse_reference(name) == StoredReference(name)
    with pytest.raises(CredentialError, match="looks like a key") as caught:
        parse_reference(shape.prefix + "c4n4ry" * (shape.random_chars // 6))
    assert "c4n4ry" not in f"{caught.value!r} {caught.value} {caught.value.hint}"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("openai", "openai"),
        ("env://GITHUB_TOKEN", "env://GITHUB_TOKEN"),
        ("file:///run/secrets/key", "file:///run/secrets/[REDACTED]"),
        ("file:///key", "file:///[REDACTED]"),
        ("keyring://svc/acct", "keyring://svc/<redacted>"),
        ("keyring://svc/acct?decode=go-keyring", "keyring://svc/<redacted>?decode=go-keyring"),
        ("op://v/i/f", "op://v/i/<redacted>"),
        ("op://v/i/s/f", "op://v/i/<redacted>"),
        ("bw://id", "bw://<redacted>"),
        ("bw://id/totp", "bw://<redacted>/totp"),
        ("pass://entry", "pass://<redacted>"),
        ("pass://work/mail", "pass://work/<redacted>"),
        ("cmd://gh", "cmd://gh"),
    ],
)
def test_the_display_of_a_reference_hides_what_is_telling(text: str, shown: str) -> None:
    assert parse_reference(text).redacted() == shown


@given(st.text() | st.from_regex(r"(env|file|keyring|op|bw|pass|cmd)://.*"))
def test_any_text_is_a_reference_or_a_credential_error(text: str) -> None:
    try:
        reference = parse_reference(text)
    except CredentialError:
        return
    match reference:
        case FileReference(path):
            assert path.startswith("/")
            assert ".." not in path.split("/")
        case EnvironmentReference(name) | StoredReference(name):
            assert name.isascii()
            assert "/" not in name
        case KeyringReference(service, account):
            assert service
            assert account
        case BitwardenReference(item, field):
            assert not item.startswith("-")
            assert field is None or not field.startswith("-")
        case PassReference(entry):
            assert not {"", ".", ".."} & set(entry.split("/"))
            assert not entry.startswith("-")
        case OnePasswordReference(path):
            assert all(path.split("/"))
        case CaptureReference(name):
            assert name.isidentifier() or name[0].isdigit()


def test_a_bare_name_is_kept_in_the_keyring_under_the_service_nono() -> None:
    assert StoredReference("openai").in_keyring() == KeyringReference("nono", "openai")
