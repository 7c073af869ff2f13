"""Put a program in a directory of the project, and have nono sign a request for AWS.

signed_request PATH TEXT: writes the program, asks by the base URL of `bedrock`, and reports the status.
"""

from __future__ import annotations

import os
import sys
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

from support.attack_programs.outcome import report

TIMEOUT_S = 60


def ask() -> int:
    base, phantom = urlsplit(os.environ["BEDROCK_BASE_URL"]), os.environ["AWS_ACCESS_KEY_ID"]
    scope = f"{phantom}/20261201/eu-west-1/bedrock/aws4_request"
    fields = {
        "X-Amz-Date": "20261201T000000Z",
        "Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature={'0' * 64}",
    }
    assert base.hostname is not None
    connection = HTTPConnection(base.hostname, base.port, timeout=TIMEOUT_S)
    connection.request("POST", f"{base.path}/model/x/invoke", b"{}", fields)
    return connection.getresponse().status


if __name__ == "__main__":
    _, place, text = sys.argv
    Path(place).write_text(text)
    Path(place).chmod(0o755)
    report({"status": ask()})
