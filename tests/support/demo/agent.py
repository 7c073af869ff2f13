"""What the agent of the demo does inside the sandbox; it prints what came of it.

    python agent.py ask | read-ssh-key | connect PORT | visit URL | other-service | other-host URL

Exit 1 when it got nowhere.
"""

from __future__ import annotations

import json
import os
import ssl
import sys
from collections.abc import Callable
from contextlib import closing
from http.client import HTTPSConnection
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen


def ask() -> str:
    """Do the job that the agent was started for, with OpenAI's SDK, which reads variables for key and URL."""
    import openai

    completion = openai.OpenAI().chat.completions.create(
        model="m", messages=[{"role": "user", "content": "hello"}]
    )
    return str(completion.choices[0].message.content)


def read_ssh_key() -> str:
    return (Path.home() / ".ssh/id_ed25519").read_text()


def connect(port: str) -> str:
    """Connect past the proxy to where the provider really listens, accepting any certificate."""
    anything = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    anything.check_hostname, anything.verify_mode = False, ssl.CERT_NONE
    connection = HTTPSConnection("127.0.0.1", int(port), timeout=10, context=anything)
    with closing(connection):
        connection.request("GET", "/v1/models")
        return str(connection.getresponse().status)


def visit(url: str) -> str:
    return _get(url, {})


def other_service() -> str:
    return _get(os.environ["GITHUB_BASE_URL"] + "/user", _phantom())


def other_host(url: str) -> str:
    return _get(url, _phantom())


def _phantom() -> dict[str, str]:
    return {"Authorization": f"Bearer {os.environ['OPENAI_API_KEY']}"}


def _get(url: str, fields: dict[str, str]) -> str:
    try:
        with urlopen(Request(url, headers=fields), timeout=10) as response:
            return f"{response.status} {response.read().decode()}"
    except HTTPError as refusal:
        with refusal:
            raise OSError(f"{refusal.code} {json.load(refusal)['error']}") from refusal


ACTIONS: dict[str, Callable[..., str]] = {
    "ask": ask,
    "read-ssh-key": read_ssh_key,
    "connect": connect,
    "visit": visit,
    "other-service": other_service,
    "other-host": other_host,
}


def main() -> int:
    try:
        print(ACTIONS[sys.argv[1]](*sys.argv[2:]))
    except OSError as error:
        print(error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
