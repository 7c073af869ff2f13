"""A profile that uses every field."""

from __future__ import annotations

from typing import Any

FULL: dict[str, Any] = {
    "$schema": "x",
    "extends": "default",
    "meta": {"name": "web", "version": "1.0.0", "description": "d", "author": "a"},
    "security": {
        "signal_mode": "allow_all",
        "process_info_mode": "isolated",
        "ipc_mode": "full",
        "wsl2_proxy_policy": "netns",
    },
    "groups": {"include": ["node_runtime"], "exclude": ["user_tools"]},
    "filesystem": {
        "allow": ["."],
        "read_file": ["~/x"],
        "deny": ["./.env"],
        "deny_if_present": ["./.env.local"],
        "bypass_protection": ["~/.npmrc"],
    },
    "network": {
        "block": False,
        "network_profile": "minimal",
        "allow_domain": [
            "github",
            "*.example.com",
            "localhost:3000",
            {"domain": "y.example", "endpoints": [{"method": "GET", "path": "/a/**"}]},
        ],
        "deny_domain": ["x.example.com:25"],
        "deny_private": True,
        "raw_tunnels": ["git.example:22"],
        "credentials": ["corp"],
        "custom_credentials": {
            "corp": {
                "upstream": "https://api.corp.example/v2",
                "credential_key": "corp",
                "tls_ca": "~/ca.pem",
                "tls_client_cert": "~/cert.pem",
                "tls_client_key": "~/key.pem",
                "inject_mode": "url_path",
                "path_pattern": "/bot{}/",
                "path_replacement": "/b{}/",
                "proxy": {"inject_mode": "query_param", "query_param_name": "key"},
                "endpoint_policy": {
                    "default": {"decision": "approve", "backend": "b", "timeout_secs": 3},
                    "deny": [{"method": "*", "path": "/admin/**", "reason": "no"}],
                },
                "rate_limit": {"requests_per_minute": 10},
                "limits": {"requests": 5},
                "tripwire": False,
                "upgrades": [{"path": "/v1/realtime"}],
            },
            "id": {
                "upstream": "https://id.example",
                "auth": {
                    "token_url": "https://id.example/t",
                    "client_id": "a",
                    "client_secret": "b",
                    "auth_method": "client_secret_basic",
                },
                "endpoint_policy": {"default": "allow"},
            },
            "aws": {
                "upstream": "https://s3.eu-west-1.amazonaws.com",
                "aws_auth": {"region": "eu-west-1"},
                "endpoint_rules": [{"method": "GET", "path": "/**"}],
            },
            "cmd": {"upstream": "https://*.x.example", "credential_key": "cmd://token", "env_var": "TOKEN"},
        },
        "allow_http2": True,
        "no_proxy": ["registry"],
        "tls_intercept": {"ca_validity": "1d", "leaf_validity": 3600, "ca_env_vars": ["MY_CA"]},
        "upstream_proxy": {"address": "corp:3128", "auth": "env://CORP_PROXY"},
        "upstream_bypass": ["*.corp.example"],
    },
    "env_credentials": {"gh": "GH", "env://A": {"env_var": "B"}},
    "credential_capture": {
        "token": {
            "command": ["get-token"],
            "timeout_secs": 10,
            "cache_ttl_secs": 60,
            "cache_path_regex": "^/(\\w+)",
            "stdin": "request_json",
            "output": {"format": "json", "allow_headers": ["Authorization"]},
        },
        "vault": {"provider": {"command": ["vault-token"], "config": {"role": {"names": ["agent", 1]}}}},
    },
    "credential_providers": {
        "p": {
            "type": "oauth_capture",
            "token_endpoints": [
                {
                    "host": "https://auth.example",
                    "path": "/oauth/token",
                    "response_fields": [{"path": "access_token"}, {"path": "id_token", "kind": "jwt"}],
                    "request_nonce_fields": ["refresh_token"],
                    "searched_below": "/oauth",
                }
            ],
            "api_hosts": ["https://api.example"],
        }
    },
    "credential_routes": [
        {
            "name": "login",
            "provider": "p",
            "env_var": "LOGIN",
            "upgrades": [{"origin": "https://api.example", "path": "/ws"}],
        }
    ],
    "workdir": {"access": "readwrite"},
    "environment": {"allow_vars": ["A*"], "deny_vars": ["B"], "set_vars": {"C": "d"}},
    "linux": {"sandbox_policy": "external", "af_unix_mediation": "off"},
    "allow_gpu": True,
}
