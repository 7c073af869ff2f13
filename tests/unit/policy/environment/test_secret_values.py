"""Which values are secrets by their shape."""

from __future__ import annotations

from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nono.credentials.phantom import make_phantom
from nono.credentials.values.shapes import _KEY_PREFIXES, SHAPES
from nono.policy.environment.secret_values import (
    CONNECTION_PASSWORD,
    PRIVATE_KEY,
    PROVIDER_TOKEN,
    URL_PASSWORD,
    key_arguments,
    secret_in,
    without_tokens,
)

RANDOM = "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8s9T0"


@pytest.mark.parametrize("service", SHAPES)
def test_a_token_of_a_known_provider_is_recognised(service: str) -> None:
    assert secret_in(make_phantom(service).child_value()) == PROVIDER_TOKEN


@pytest.mark.parametrize("prefix", _KEY_PREFIXES)
def test_what_looks_like_a_key_elsewhere_does_so_here(prefix: str) -> None:
    token = {"xox": f"xoxb-{RANDOM}", "AKIA": "AKIA" + RANDOM[:16].upper()}.get(prefix, prefix + RANDOM)
    assert secret_in(token) == PROVIDER_TOKEN
    assert secret_in(f"https://{token}@host.example/x") == PROVIDER_TOKEN


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("postgres://me:hunter2@db.example/app", URL_PASSWORD),
        ("postgres://me:hun/ter2@db.example/app", URL_PASSWORD),
        ("redis://:hunter2@cache:6379/0", URL_PASSWORD),
        ("a=1 mongodb+srv://me:p%40ss@cluster.example", URL_PASSWORD),
        ("http://proxy:pw@127.0.0.1:3128", URL_PASSWORD),
        ("http://nono:pw@proxy.example:3128", URL_PASSWORD),
        ("Server=db;User Id=me;Password=hunter2;", CONNECTION_PASSWORD),
        ("host=db user=me password=hunter2", CONNECTION_PASSWORD),
        ("jdbc:postgresql://db/app?user=me&password=hunter2", CONNECTION_PASSWORD),
        ("DefaultEndpointsProtocol=https;AccountName=a;AccountKey=abc==", CONNECTION_PASSWORD),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl", PRIVATE_KEY),
        (b64encode(b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nMHcC").decode(), PRIVATE_KEY),
        ("https://hooks.slack.com/services/T0/B0/abcdefghijkl", PROVIDER_TOKEN),
        ("glpat-" + "R-PFroLweztSCZiYOYWn", PROVIDER_TOKEN),  # without a digit
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl", PROVIDER_TOKEN),
        ("Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl", PROVIDER_TOKEN),
        ("https://pypi.example/simple https://me:hunter2@pypi.example/simple", URL_PASSWORD),
    ],
)
def test_a_secret_is_recognised_by_its_form(value: str, reason: str) -> None:
    assert secret_in(value) == reason


@pytest.mark.parametrize(
    "value",
    [
        "/home/me/bin:/usr/bin",
        "https://pypi.example:8443/simple/@scope/x",
        "http://[::1]:3128/a@b",
        "http://proxy.example:3128",
        "postgres://me@db.example/app",
        "git@github.com:me/repo.git",
        "http://nono:session-token@127.0.0.1:40000",
        "-Djavax.net.ssl.trustStorePassword=changeit",
        "password=",
        "/home/me/.cache/hf_transformers_cache_2024_with_a_long_name",
        "task-force-2024-11-27-and-more-words",
        "sk-learn-pipeline-of-the-team-cache",
        "npm_config_cache_directory_2024_of_the_whole_team_here",
        "-----BEGIN CERTIFICATE-----",
        b64encode(b"-----BEGIN CERTIFICATE-----\nMHcC").decode(),
        "LS0tLS1CRUdJTiB=broken=",
        "eyJjb2xvdXIiOiAiYmx1ZSIsICJzaXplIjogN30=",
        "https://pypi.example/simple https://me@pypi.example/simple",
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ1 me@host",
        "rs=0:di=01;34:ln=01;36",
        "unix:path=/run/user/1000/bus",
        "",
    ],
)
def test_an_everyday_value_is_no_secret(value: str) -> None:
    assert secret_in(value) is None


@given(st.text())
def test_any_text_is_judged(value: str) -> None:
    assert secret_in(value) in (None, URL_PASSWORD, CONNECTION_PASSWORD, PROVIDER_TOKEN, PRIVATE_KEY)


def test_keys_are_found_among_arguments() -> None:
    assert key_arguments(["curl", "-H", f"Authorization: Bearer sk-{RANDOM}", "https://u:p@h"]) == [2]


@given(st.text())
def test_what_is_no_token_is_kept(text: str) -> None:
    if secret_in(text) not in (PROVIDER_TOKEN, PRIVATE_KEY):
        assert without_tokens(text, "") == text


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (f"see sk-{RANDOM}, and sk-{RANDOM}.", "see [], and []."),
        ("a eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl b", "a [] b"),
        (
            "to https://hooks.slack.com/services/T0/B0/abcdefghijkl now",
            "to https://hooks.slack.com/services/[] now",
        ),
        ("key: -----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl\n-----END", "key: []"),
        (
            "cert: -----BEGIN CERTIFICATE-----\nb3Bl\n-----END",
            "cert: -----BEGIN CERTIFICATE-----\nb3Bl\n-----END",
        ),
    ],
    ids=["tokens", "a JWT", "a webhook", "a private key", "a certificate"],
)
def test_only_the_secret_is_taken_out_of_a_text(text: str, left: str) -> None:
    assert without_tokens(text, "[]") == left
