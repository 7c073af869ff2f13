"""List the clients that `nono doctor --clients` tries: how each is started, and what may stop it."""

from __future__ import annotations

from collections.abc import Mapping

from nono.cli.doctor.pages import GO_MODULE, PACKAGE
from nono.named_tuple import NamedTuple

ABSENT = 77  # as automake's tests use it


class Client(NamedTuple):
    """One client. Its script runs inside, in an empty directory, with the server in URL and HOST.

    The script ends with ABSENT if something is not installed. Nothing is looked for outside, where what is on
    PATH may be a program that an agent wrote.
    """

    name: str
    programs: tuple[str, ...]  # all of them have to be on PATH
    script: str  # for sh
    past_proxy: str  # the remedy if it does not use the proxy
    no_trust: str  # the remedy if it rejects nono's certificate
    profile: str = "default"
    files: Mapping[str, str] = {}
    is_served: bool = True  # False: the server answers too little for it to succeed
    without_server: bool = False  # it uses no server: its status says whether it works


_NODE = """
fetch(process.env.URL).then(
    answer => process.exit(answer.ok ? 0 : 1),
    error => {
        console.error(`Node ${process.version}: ${error.cause?.message ?? error}`);
        process.exit(1);
    });
"""
_UNDICI = """
const {fetch, EnvHttpProxyAgent, setGlobalDispatcher} = require('undici');
setGlobalDispatcher(new EnvHttpProxyAgent());
"""
# Where Debian and npm install for all users.
_NODE_PATH = 'NODE_PATH="/usr/share/nodejs:$(npm root --global 2>/dev/null)"'
_HAS = "python3 -c 'import importlib.util, sys; sys.exit(importlib.util.find_spec(\"{}\") is None)'"
_AIOHTTP = """
import aiohttp, asyncio, os
async def main():
    async with aiohttp.ClientSession(trust_env=True) as session:
        async with session.get(os.environ["URL"]) as answer:
            answer.raise_for_status()
asyncio.run(main())
"""
_JAVA = """
import java.net.HttpURLConnection;
import java.net.URI;
class Doctor {
    public static void main(String[] arguments) throws Exception {
        var connection = (HttpURLConnection) URI.create(System.getenv("URL")).toURL().openConnection();
        System.exit(connection.getResponseCode() == 200 ? 0 : 1);
    }
}
"""
_CARGO = f"""
[package]
name = "user"
version = "0.0.0"
[dependencies]
{PACKAGE} = {{ version = "1", registry = "doctor" }}
"""

_NO_PROXY = "look for a proxy, or exceptions from it, in the settings of {}: they win over HTTPS_PROXY"
_NO_CA = "look for a CA file in the settings of {}: it wins over SSL_CERT_FILE"
_PYTHON_PAST = "pass trust_env=True, or no proxies of its own, to the session"
_PYTHON_CA = "leave verify at its default, or give it the file that SSL_CERT_FILE names"


def _python(name: str, script: str) -> Client:
    return Client(
        f"python {name}",
        ("python3",),
        f"{_HAS.format(name)} || exit {ABSENT}; python3 client.py",
        _PYTHON_PAST,
        _PYTHON_CA,
        profile="python-dev",
        files={"client.py": script},
    )


CLIENTS = (
    Client(
        "curl",
        ("curl",),
        'curl -sS --fail --output answer "$URL/"',
        "remove proxy and noproxy from ~/.curlrc",
        "remove cacert and capath from ~/.curlrc",
    ),
    Client(
        "git (https)",
        ("git",),
        'git ls-remote "$URL/repository.git"',
        "git config --global --unset-all http.proxy",
        "git config --get-regexp '^http.*ssl' names the settings that may be the cause",
    ),
    Client(
        "git (ssh)",
        ("git", "ssh"),
        'git ls-remote "ssh://git@ssh.$HOST/repository.git"',
        "git config --global --unset-all core.sshCommand, and no ProxyCommand in ~/.ssh/config",
        "-",
        is_served=False,
    ),
    Client(
        "gh",
        ("gh",),
        'GH_HOST="$HOST" GH_ENTERPRISE_TOKEN=none GH_NO_UPDATE_NOTIFIER=1 gh api user',
        _NO_PROXY.format("gh"),
        _NO_CA.format("gh"),
        profile="coding-agent",
    ),
    Client(
        "node fetch",
        ("node",),
        "node client.js",
        "use Node 22.21 (of 22) or 24 and newer, which take NODE_USE_ENV_PROXY; before, have the program use "
        "EnvHttpProxyAgent of undici",
        "unset NODE_EXTRA_CA_CERTS and --use-openssl-ca where the program is started",
        profile="node-dev",
        files={"client.js": _NODE},
    ),
    Client(
        "node undici",
        ("node",),
        f"export {_NODE_PATH}\n"
        f"node -e 'require.resolve(\"undici\")' 2>/dev/null || exit {ABSENT}; node client.js",
        "have the program use EnvHttpProxyAgent, which undici has from 6.14 on",
        "unset NODE_EXTRA_CA_CERTS and --use-openssl-ca where the program is started",
        profile="node-dev",
        files={"client.js": _UNDICI + _NODE},
    ),
    _python("requests", "import os, requests\nrequests.get(os.environ['URL']).raise_for_status()\n"),
    _python("httpx", "import os, httpx\nhttpx.get(os.environ['URL']).raise_for_status()\n"),
    _python("aiohttp", _AIOHTTP),
    Client(
        "pip",
        ("pip",),
        f'pip index versions --disable-pip-version-check --retries 0 --index-url "$URL/simple" {PACKAGE}',
        "pip config unset global.proxy",
        "pip config unset global.cert",
        profile="python-dev",
    ),
    Client(
        "uv",
        ("uv",),
        f'echo {PACKAGE} > in.txt; UV_HTTP_RETRIES=0 uv pip compile --default-index "$URL/simple" in.txt',
        _NO_PROXY.format("uv"),
        _NO_CA.format("uv"),
        profile="python-dev",
    ),
    Client(
        "npm",
        ("npm", "node"),
        f'npm view --registry "$URL" --fetch-retries=0 --no-update-notifier {PACKAGE} version',
        "npm config delete proxy https-proxy noproxy",
        "npm config delete cafile ca",
        profile="node-dev",
    ),
    Client(
        "go",
        ("go",),
        'GOPROXY="$URL" GONOPROXY= GOPRIVATE= GOSUMDB=off GOTOOLCHAIN=local GOFLAGS=-mod=mod '
        f"go list -m -versions {GO_MODULE}",
        "no program in Go goes by a proxy to localhost; use the name of the host",
        _NO_CA.format("go"),
        profile="go-dev",
    ),
    Client(
        "cargo",
        ("cargo",),
        'CARGO_REGISTRIES_DOCTOR_INDEX="sparse+$URL/index/" CARGO_NET_RETRY=0 cargo generate-lockfile',
        "remove [http] proxy from ~/.cargo/config.toml",
        "remove [http] cainfo from ~/.cargo/config.toml",
        profile="rust-dev",
        files={"Cargo.toml": _CARGO, "src/lib.rs": ""},
    ),
    Client(
        "java",
        ("java", "javac"),
        "java Doctor.java",
        "let JAVA_TOOL_OPTIONS reach the JVM; without a seccomp listener the program needs an Authenticator "
        "for the user and password in HTTPS_PROXY",
        "remove javax.net.ssl.trustStore from the options of the JVM",
        profile="java-dev",
        files={"Doctor.java": _JAVA},
    ),
    Client(
        "deno",
        ("deno",),
        "deno run --allow-net --allow-env client.js",
        _NO_PROXY.format("deno"),
        "unset DENO_TLS_CA_STORE",
        profile="node-dev",
        files={
            "client.js": "const answer = await fetch(Deno.env.get('URL')); Deno.exit(answer.ok ? 0 : 1);\n"
        },
    ),
    Client(
        "bun",
        ("bun",),
        "bun client.js",
        _NO_PROXY.format("bun"),
        "unset --use-system-ca and NODE_EXTRA_CA_CERTS where the program is started",
        profile="bun-dev",
        files={
            "client.js": "const answer = await fetch(process.env.URL); process.exit(answer.ok ? 0 : 1);\n"
        },
    ),
    Client(
        "grpcurl",
        ("grpcurl",),
        'grpcurl -max-time 20 "$HOST:443" list',
        "this grpcurl looks at no proxy; use a client of gRPC that does, such as one made with grpcio",
        _NO_CA.format("grpcurl"),
        is_served=False,
    ),
    Client(
        "docker",
        ("docker",),
        "docker version",
        "--allow-unix-socket /var/run/docker.sock, for a command that you trust with root on this machine",
        "-",
        without_server=True,
    ),
)
