"""The data nono ships."""

from __future__ import annotations

from pathlib import Path

import pytest

from nono.policy.builtin import freeze, shipped
from nono.policy.document.source import read_source
from nono.policy.document.validate import validate
from nono.policy.document.when import Host
from nono.policy.profile.store import load_profile

ENVIRON = {"HOME": "/nonexistent"}
ROOT = Path(__file__).parents[4]


OWN = {
    "deny_credentials_more",
    "deny_agent_logins",
    "system_identity",
    "system_settings_linux",
}  # not in the specification


def test_the_specified_groups_and_a_few_more_are_known() -> None:
    groups = shipped.groups()
    assert len(groups) == 42 + len(OWN)
    assert groups.keys() >= OWN
    assert {"codex_macos", "vscode_macos", "go_runtime_macos", "deny_macos_private"} <= groups.keys()


def test_the_list_of_sensitive_paths_is_complete() -> None:
    counts = {
        name: len(group.deny) for name, group in shipped.groups().items() if group.deny and name not in OWN
    }
    assert counts == {
        "deny_credentials": 20,
        "deny_keychains_linux": 4,
        "deny_browser_data_linux": 7,
        "deny_shell_history": 4,
        "deny_shell_configs": 13,
    }


def test_every_deny_group_is_required() -> None:
    assert [name for name, group in shipped.groups().items() if group.deny and not group.required] == []


def test_the_default_profile_contains_every_deny_group() -> None:
    denying = {name for name, group in shipped.groups().items() if group.deny}
    assert denying <= set(shipped.default_group_names())


def test_every_default_group_exists() -> None:
    assert set(shipped.default_group_names()) <= shipped.groups().keys()


def test_no_group_grants_a_directory_above_what_another_denies() -> None:
    """Except for one that a person asks for by name: there a token in the directory is masked."""
    groups = [group for name, group in shipped.groups().items() if name != "user_caches_linux"]
    granted = {path for group in groups for path in (*group.read, *group.write, *group.readwrite)}
    denied = {path for group in shipped.groups().values() for path in group.deny}
    assert not [(grant, deny) for grant in granted for deny in denied if f"{deny}/".startswith(f"{grant}/")]


@pytest.mark.parametrize(
    "path",
    [
        "~/.local/share/uv/credentials",
        "$XDG_DATA_HOME/uv/credentials",
        "$UV_CREDENTIALS_DIR",
        "~/.config/pypoetry/auth.toml",
        "$POETRY_CONFIG_DIR/auth.toml",
        "~/.config/composer/auth.json",
        "~/.composer/auth.json",
        "~/.config/glab-cli",
    ],
)
def test_what_package_managers_keep_of_logins_is_denied(path: str) -> None:
    assert path in shipped.groups()["deny_credentials_more"].deny


@pytest.mark.parametrize(
    "path",
    [
        "~/.cache/huggingface/token",
        "$HF_HOME/token",
        "~/.config/sops/age",
        "~/.config/doctl/config.yaml",
        "~/.config/stripe/config.toml",
        "~/.config/github-copilot",
        "~/.kaggle/kaggle.json",
        "~/.oci",
        "~/.pgpass",
    ],
)
def test_what_tools_of_clouds_models_and_databases_keep_of_logins_is_denied(path: str) -> None:
    assert path in shipped.groups()["deny_credentials_more"].deny


def test_programs_that_uv_installed_can_be_read_without_its_credentials() -> None:
    granted = shipped.groups()["python_runtime"].read
    assert {"~/.local/share/uv/python", "~/.local/share/uv/tools"} <= set(granted)
    assert "~/.local/share/uv" not in granted


@pytest.mark.parametrize(
    "path",
    [
        "~/.local/share/zsh/history",
        "~/.npm/_logs/2026-12-02T02_06_36_054Z-debug-0.log",  # of `npm config set //HOST/:_authToken TOKEN`
        "~/.config/mise/age.txt",
        "~/.config/mise/forgejo_tokens.toml",
        "~/.config/mise/github_tokens.toml",
        "~/.config/mise/gitlab_tokens.toml",
    ],
)
def test_no_group_grants_what_shells_npm_and_mise_keep_of_secrets(path: str) -> None:
    groups = shipped.groups().values()
    granted = [each for group in groups for each in (*group.read, *group.write, *group.readwrite)]
    assert not [each for each in granted if f"{path}/".startswith(f"{each}/")]


def test_what_npx_runs_and_mise_obeys_is_granted() -> None:
    groups = shipped.groups()
    assert "~/.npm/_npx" in groups["node_runtime"].read
    assert {"~/.config/mise/config.toml", "~/.config/mise/conf.d"} <= set(groups["mise_manager"].read)


@pytest.mark.parametrize(
    "path",
    [
        "~/.codex/.credentials.json",
        "$CODEX_HOME/.credentials.json",
        "~/.config/goose/huggingface",
        "~/.config/goose/kimicode",
        "$XDG_CONFIG_HOME/goose/xai_oauth",
        "~/.gemini/a2a-oauth-tokens.json",
        "~/.qwen/extension-secrets-v1.json",
        "~/.qwen/mcp-oauth-tokens.json",
        "$QWEN_HOME/mcp-oauth-tokens-v2.json",
    ],
)
def test_logins_of_agents_at_servers_and_providers_are_denied(path: str) -> None:
    assert path in shipped.groups()["deny_agent_logins"].deny


def test_the_dangerous_commands_are_kept_as_data() -> None:
    groups = shipped.groups()
    assert len(groups["dangerous_commands"].commands) + len(groups["dangerous_commands_linux"].commands) == 46


def test_the_network_profiles_are_made_of_known_groups() -> None:
    policy = shipped.network_policy()
    assert {name for groups in policy.profiles.values() for name in groups} <= policy.groups.keys()
    assert policy.profiles["minimal"] == ("llm_apis",)
    assert len(policy.profiles["developer"]) == 6
    assert len(policy.profiles["enterprise"]) == 9
    assert policy.groups["google_cloud"] == ("*.googleapis.com",)


@pytest.mark.parametrize(
    "host",
    [
        "proxy.golang.org",  # `go mod download`
        "sum.golang.org",
        "services.gradle.org",  # `./gradlew`, which is sent on to GitHub
        "release-assets.githubusercontent.com",  # where GitHub sends a download of a release
        "pypi.org",
        "index.crates.io",
        "repo.maven.apache.org",
        "index.rubygems.org",  # where Bundler looks packages up
        "repo.packagist.org",  # where Composer does
        "builds.hex.pm",  # `mix local.hex`
        "repo.hex.pm",  # `mix deps.get`
        "jsr.io",  # `deno add`
        "npm.jsr.io",  # the same packages for npm and pnpm
    ],
)
def test_the_dependencies_of_a_project_can_be_fetched_under_each_toolchain(host: str) -> None:
    policy = shipped.network_policy()
    for name in ("developer", "claude-code", "codex", "gemini-cli"):
        assert host in {host for group in policy.profiles[name] for host in policy.groups[group]}
    assert host not in {host for group in policy.profiles["minimal"] for host in policy.groups[group]}


@pytest.mark.parametrize(
    ("name", "own"),
    [
        ("claude-code", "api.anthropic.com"),
        ("codex", "api.openai.com"),
        ("gemini-cli", "generativelanguage.googleapis.com"),
    ],
)
def test_an_agent_reaches_only_the_api_of_its_own_provider(name: str, own: str) -> None:
    policy = shipped.network_policy()
    reached = {host for group in policy.profiles[name] for host in policy.groups[group]}
    assert reached & set(policy.groups["llm_apis"]) == {own}
    assert not {"claude.ai", "platform.claude.com", "auth.openai.com", "accounts.google.com"} & reached


def test_the_frozen_groups_are_those_of_the_files() -> None:
    with open(freeze.TARGET, encoding="utf-8") as module:
        assert module.read() == freeze.frozen(), "make freeze-policy"
    assert list(shipped.groups().items()) == list(shipped.groups_of_file().items())


@pytest.mark.parametrize("name", shipped.profile_names())
def test_a_shipped_profile_reads_the_same_without_pydantic(name: str) -> None:
    assert load_profile(name, ENVIRON).meta.name == name
    document, validated, _ = validate(read_source(shipped.profile_bytes(name), name), Host())
    assert validated.meta == load_profile(name, ENVIRON).meta
    assert document.get("groups", {}).get("include", []) == list(validated.groups.include)


def test_every_profile_in_the_repository_is_shipped() -> None:
    files = {path.stem for path in (ROOT / "profiles").glob("*.json")}
    assert sorted(shipped.profile_names()) == sorted(files)


def test_an_unknown_profile_has_no_document() -> None:
    with pytest.raises(KeyError):
        shipped.profile_document("nobody")


@pytest.mark.parametrize("name", ["claude-code", "codex", "gemini-cli", "opencode"])
def test_a_session_of_an_agent_outlives_its_day(name: str) -> None:
    """An agent reads the CA once, when it starts, and people leave it running."""
    assert load_profile(name, ENVIRON).network.tls_intercept.ca_validity == "30d"


@pytest.mark.parametrize("name", shipped.profile_names())
def test_no_profile_shares_a_cache_with_programs_outside(name: str) -> None:
    """Programs run and obey what is in their cache: opencode imports a module that models.json names.

    What lies below ~/.cache/nono only runs read.
    """
    filesystem = load_profile(name, ENVIRON).filesystem
    granted = [str(path) for path in (*filesystem.allow, *filesystem.write, *filesystem.state_dir)]
    shared = [path for path in granted if path.startswith(("$XDG_CACHE_HOME", "~/.cache"))]
    assert [path for path in shared if not path.startswith("~/.cache/nono/")] == []


def test_another_session_has_a_day() -> None:
    assert load_profile("python-dev", ENVIRON).network.tls_intercept.ca_validity == "24h"
