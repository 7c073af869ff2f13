"""Requests that hand out a key are known in every spelling that a lenient server reads."""

from __future__ import annotations

import pytest

from nono.policy.services.minting import hands_out_keys, is_aws_key_service


@pytest.mark.parametrize(
    ("host", "path"),
    [
        ("api.anthropic.com", "/api/oauth/claude_cli/create_api_key"),
        ("api.anthropic.com", "/api/OAuth/claude_cli/create_api_key/"),
        ("api.openai.com", "/v1/realtime/client_secrets"),
        ("api.openai.com", "/v1/realtime%2Fclient_secrets"),
        ("api.openai.com", "/v1/organization/admin_api_keys"),
        ("api.openai.com", "/v1/organization/projects/p/service_accounts"),
        ("generativelanguage.googleapis.com", "/v1alpha/auth_tokens"),
        ("openrouter.ai", "/api/v1/keys"),
        ("openrouter.ai", "/api/v1/auth/keys/code"),
        ("api.fireworks.ai", "/v1/accounts/a/users/u/apiKeys"),
        ("api.mistral.ai", "/v1/client/sessions"),
        ("api.mistral.ai", "/v1/audio/sessions"),
        ("api.perplexity.ai", "/generate_auth_token"),
        ("api.x.ai", "/v1/realtime/client_secrets"),
        ("api.github.com", "/app/installations/7/access_tokens"),
        ("api.github.com", "/Repos/o/r/Keys"),
        ("api.github.com", "/orgs/o/actions/runners/registration-token"),
        ("gitlab.com", "/api/v4/projects/group%2Fproject/access_tokens"),
        ("gitlab.com", "/api/v4/user/personal_access_tokens"),
        ("gitlab.com", "/api/v4/personal_access_tokens/self/rotate"),
        ("gitlab.com", "/api/v4/projects/group%2Fproject/access_tokens/7/rotate"),
        ("gitlab.com", "/api/v4/projects/7/deploy_keys"),
        ("gitlab.com", "/api/v4/projects/7%2Fdeploy_keys"),
        ("gitlab.com", "/api/v4/projects/7/cluster_agents/1/tokens"),
        ("gitlab.com", "/api/v4/groups/7/service_accounts/8/personal_access_tokens"),
        ("gitlab.com", "/api/v4/runners/reset_registration_token"),
        ("gitlab.com", "/api/v4/user/runners"),
    ],
)
def test_a_request_that_hands_out_a_key_is_known(host: str, path: str) -> None:
    assert hands_out_keys(host, "POST", path)
    assert not hands_out_keys(host, "GET", path)
    assert not hands_out_keys("other.example", "POST", path)


@pytest.mark.parametrize(
    ("host", "path"),
    [
        ("api.openai.com", "/v1/responses"),
        ("api.openai.com", "/v1/realtime"),
        ("api.anthropic.com", "/v1/messages"),
        ("openrouter.ai", "/api/v1/chat/completions"),
        ("api.mistral.ai", "/v1/audio/transcriptions"),
        ("api.github.com", "/repos/o/r/issues"),
        ("gitlab.com", "/api/v4/projects/7/issues"),
        ("gitlab.com", "/api/v4/projects/7/repository/files/config%2Frunners.yml"),
        ("gitlab.com", "/api/v4/projects/group%2Fproject/repository/files/keys"),
        ("gitlab.com", "/api/v4/projects/7/packages/generic/tool/1.0/keys.json"),
        ("gitlab.com", "/api/v4/projects/7/wikis/rotate"),
    ],
)
def test_any_other_request_hands_out_no_key(host: str, path: str) -> None:
    assert not hands_out_keys(host, "POST", path)


@pytest.mark.parametrize(
    ("host", "hands_out"),
    [
        ("sts.amazonaws.com", True),
        ("sts.eu-central-1.amazonaws.com", True),
        ("sts-fips.us-east-1.amazonaws.com", True),
        ("iam.amazonaws.com", True),
        ("oidc.eu-central-1.amazonaws.com", True),
        ("cognito-identity.us-east-1.amazonaws.com", True),
        ("bedrock-runtime.us-east-1.amazonaws.com", False),
        ("s3.amazonaws.com", False),
        ("sts.s3.eu-central-1.amazonaws.com", False),
        ("sts.example", False),
    ],
)
def test_the_services_of_aws_that_hand_out_keys_are_known(host: str, hands_out: bool) -> None:
    assert is_aws_key_service(host) == hands_out
