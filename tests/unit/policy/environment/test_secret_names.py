"""Which names say that a variable is a secret, and which only sound like it."""

from __future__ import annotations

import pytest

from nono.policy.environment.secret_names import is_switch, says_secret

SECRETS = """
NPM_TOKEN NODE_AUTH_TOKEN HF_TOKEN SLACK_BOT_TOKEN CARGO_REGISTRY_TOKEN GH_ENTERPRISE_TOKEN
githubToken TOKEN npm_config_//registry.npmjs.org/:_authToken NPM_CONFIG__AUTH MISTRAL_API_KEY
DD_APIKEY my_api_key API_KEY GROQ_API_KEYS TS_AUTHKEY AWS_ACCESS_KEY_ID AZURE_STORAGE_ACCOUNT_KEY
RAILS_MASTER_KEY SUPABASE_SERVICE_ROLE_KEY APP_ENCRYPTION_KEY SSH_PRIVATE_KEY AWS_SECRET_ACCESS_KEY
CLIENT_SECRET SECRET_KEY SECRET_KEY_BASE VAULT_SECRET_ID DJANGO_SECRET PGPASSWORD MY_PASSWORD
DB_PASSWORD_RO BORG_PASSPHRASE ROOT_PASSWD MYSQL_PWD SMTP_PASS SSHPASS GOOGLE_CREDENTIALS
SERVICE_CREDENTIAL GIT_ASKPASS SUDO_ASKPASS SSH_ASKPASS AZURE_DEVOPS_EXT_PAT ID_JWT
DOCKER_AUTH_CONFIG COMPOSER_AUTH REDISCLI_AUTH BW_SESSION PUBLIC_REPO_TOKEN NEXT_PUBLIC_JWT
""".split()  # noqa: SIM905 - a list of words reads better than one of literals
# What shells, desktops, editors, build tools and CI set on any day.
EVERYDAY = """
TOKENIZERS_PARALLELISM SSH_ASKPASS_REQUIRE XAUTHORITY PUBLIC_KEY SSH_PUBLIC_KEY NEXT_PUBLIC_API_KEY
STRIPE_PUBLISHABLE_KEY KEYTIMEOUT KEYBOARD_LAYOUT PWD OLDPWD INIT_CWD SESSION_MANAGER XDG_SESSION_ID
TERM_SESSION_ID GPG_TTY SSH_CONNECTION SSH_TTY SSH_AGENT_PID CACHE_KEY COMPASS BYPASS NO_PROXY
HTTP_PROXY GIT_AUTHOR_EMAIL GIT_TERMINAL_PROMPT NPM_CONFIG_CACHE npm_config_user_agent CARGO_HOME
RUSTUP_TOOLCHAIN VIRTUAL_ENV PYTHONUNBUFFERED PIP_INDEX_URL GOPATH JAVA_HOME MAVEN_OPTS CI
GITHUB_REPOSITORY AWS_REGION AWS_PROFILE GOOGLE_CLOUD_PROJECT LS_COLORS COLORTERM TMUX DISPLAY
WAYLAND_DISPLAY WSL_DISTRO_NAME AUTH
""".split()  # noqa: SIM905 - as above


@pytest.mark.parametrize("name", SECRETS)
def test_a_name_that_says_so_is_that_of_a_secret(name: str) -> None:
    assert says_secret(name, "hunter two")


@pytest.mark.parametrize("name", EVERYDAY)
def test_a_name_of_everyday_work_is_that_of_no_secret(name: str) -> None:
    assert not says_secret(name, "hunter two")


@pytest.mark.parametrize(
    ("name", "secret", "harmless"),
    [
        ("MAX_OUTPUT_TOKENS", "a1,b2", "64000"),
        ("DB_PASSWORD_FILE", "hunter2", "/run/secrets/db"),
        ("PASSWORD_STORE_DIR", "hunter2", "~/.password-store"),
        ("OLD_PWD", "hunter2", "/home/me"),
        ("DB_SECRET_NAME", "proj4711abcdefghijklmnop", "prod/orders-db"),
        ("OPENAI_KEY", "proj4711abcdefghijklmnop", "build-cache"),
        ("S3_KEY", "abcdefghij0123456789", "releases/2026/app-1.2.3.zip"),
    ],
)
def test_the_value_tells_what_the_name_leaves_open(name: str, secret: str, harmless: str) -> None:
    assert says_secret(name, secret)
    assert not says_secret(name, harmless)


def test_the_fingerprint_of_a_signing_key_is_no_secret() -> None:
    """Images of Python set it."""
    assert not says_secret("GPG_KEY", "7169605F62C751356D054A26A821E680E5FA6305")


@pytest.mark.parametrize(
    ("value", "is_one"), [("", True), ("TRUE", True), ("0", True), ("2", False), ("x", False)]
)
def test_a_switch_is_too_short_for_a_secret(value: str, is_one: bool) -> None:
    assert is_switch(value) == is_one


def test_a_random_value_makes_no_secret_of_a_name_that_says_nothing() -> None:
    assert says_secret("DEPLOY_KEY", "abcdefghij0123456789")
    assert not says_secret("BUILD_ID", "abcdefghij0123456789")
