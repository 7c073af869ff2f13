"""The Python clients the tests run inside the sandbox, told where to go by the environment alone.

    python programs.py CLIENT whole|streamed ...
    python programs.py CLIENT each ATTEMPTS

Prints the text of each answer. Exit 1 says on stderr what the client made of a refusal: its status, or the
error.
`each` makes ATTEMPTS one after the other, a JSON list of [a name in PROGRAMS, other values of variables], and
prints the list of what came of them, each [exit code, stdout, stderr]. A fork asks, so that an SDK is
imported once: that takes seconds.
When a streamed answer begins, the program asks for the list of models and reads the rest afterwards: the
upstream holds the rest back until then, so a proxy that gathers an answer before passing it on never ends.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Callable, Iterable
from typing import Any

KEYS = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN")
QUESTION = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}


def openai_whole() -> str:
    completion = _openai().chat.completions.create(**QUESTION)
    return str(completion.choices[0].message.content)


def openai_streamed() -> str:
    client = _openai()
    chunks = client.chat.completions.create(**QUESTION, stream=True)
    texts = (chunk.choices[0].delta.content for chunk in chunks)
    return joined(texts, client.models.list)


def openai_default() -> str:
    """Return the base URL of a client that is told none."""
    import openai

    os.environ.pop("OPENAI_BASE_URL")
    return str(openai.OpenAI(api_key="k").base_url)


def _openai() -> Any:
    import openai

    return openai.OpenAI(**_options(openai))


def anthropic_whole() -> str:
    return _anthropic_whole(_anthropic())


def anthropic_streamed() -> str:
    client = _anthropic()
    events = client.messages.create(**QUESTION, max_tokens=9, stream=True)
    texts = (event.delta.text for event in events if event.type == "content_block_delta")
    return joined(texts, client.models.list)


def anthropic_bearer_whole() -> str:
    """Send the key in Authorization, as ANTHROPIC_AUTH_TOKEN does."""
    os.environ["ANTHROPIC_AUTH_TOKEN"] = os.environ.pop("ANTHROPIC_API_KEY")
    return _anthropic_whole(_anthropic())


def anthropic_default() -> str:
    import anthropic

    os.environ.pop("ANTHROPIC_BASE_URL")
    return str(anthropic.Anthropic(api_key="k").base_url)


def _anthropic() -> Any:
    import anthropic

    return anthropic.Anthropic(**_options(anthropic))


def _anthropic_whole(client: Any) -> str:
    return str(client.messages.create(**QUESTION, max_tokens=9).content[0].text)


def _options(sdk: Any) -> dict[str, Any]:
    """Return nothing, since the SDKs read the environment; a client without a key is made by hand."""
    if all(os.environ.get(name) != "" for name in KEYS):
        return {}

    def send_no_key(request: Any) -> None:
        for name in ("Authorization", "X-Api-Key"):
            request.headers.pop(name, None)

    hooks = {"request": [send_no_key]}
    return {"api_key": "not sent", "http_client": sdk.DefaultHttpxClient(event_hooks=hooks)}


def httpx_whole() -> str:
    import httpx

    response = httpx.post(_url("/chat/completions"), headers=_bearer(), json=QUESTION)
    return _completion(response.raise_for_status().json())


def httpx_streamed() -> str:
    import httpx

    asked = QUESTION | {"stream": True}
    with (
        httpx.Client(headers=_bearer()) as client,
        client.stream("POST", _url("/chat/completions"), json=asked) as response,
    ):
        response.raise_for_status()
        return joined(_deltas(response.iter_lines()), lambda: client.get(_url("/models")))


def requests_whole() -> str:
    import requests

    response = requests.post(_url("/chat/completions"), headers=_bearer(), json=QUESTION, timeout=20)
    response.raise_for_status()
    return _completion(response.json())


def requests_streamed() -> str:
    import requests

    asked = QUESTION | {"stream": True}
    url = _url("/chat/completions")
    with requests.post(url, headers=_bearer(), json=asked, stream=True, timeout=20) as response:
        response.raise_for_status()
        lines = response.iter_lines(chunk_size=1, decode_unicode=True)  # by default it waits for 512 bytes
        return joined(_deltas(lines), lambda: requests.get(_url("/models"), headers=_bearer(), timeout=20))


def joined(texts: Iterable[str], at_first: Callable[[], object]) -> str:
    """Join the texts with "|"; call at_first between the first and the second."""
    parts: list[str] = []
    for text in texts:
        parts.append(text)
        if len(parts) == 1:
            at_first()
    return "|".join(parts)


def _url(path: str) -> str:
    return os.environ["OPENAI_BASE_URL"] + path


def _bearer() -> dict[str, str]:
    key = os.environ["OPENAI_API_KEY"]
    return {"Authorization": f"Bearer {key}"} if key else {}


def _completion(answer: Any) -> str:
    return str(answer["choices"][0]["message"]["content"])


def _deltas(lines: Iterable[str]) -> Iterable[str]:
    for line in lines:
        if line.startswith("data: {"):
            yield json.loads(line.removeprefix("data: "))["choices"][0]["delta"]["content"]


PROGRAMS = {
    "openai whole": openai_whole,
    "openai streamed": openai_streamed,
    "openai default": openai_default,
    "anthropic whole": anthropic_whole,
    "anthropic streamed": anthropic_streamed,
    "anthropic default": anthropic_default,
    "anthropic-bearer whole": anthropic_bearer_whole,
    "httpx whole": httpx_whole,
    "httpx streamed": httpx_streamed,
    "requests whole": requests_whole,
    "requests streamed": requests_streamed,
}


def ended(program: Callable[[], str]) -> tuple[int, str, str]:
    """Return (exit code, stdout, stderr) of a process that runs program."""
    try:
        return 0, f"{program()}\n", ""
    except Exception as error:  # each client has its own, with the response in one of two places
        response = getattr(error, "response", None)
        return 1, "", f"refused {getattr(response, 'status_code', None) or repr(error)}\n"


def in_a_fork(program: Callable[[], str], changes: dict[str, str]) -> list[object]:
    """Return what `ended` says with other variables; $NAME in a value stands for the old value of NAME."""
    reader, writer = os.pipe()
    if (pid := os.fork()) == 0:
        os.environ.update({name: os.path.expandvars(value) for name, value in changes.items()})
        os.write(writer, json.dumps(ended(program)).encode())
        os._exit(0)
    os.close(writer)
    with open(reader, "rb") as pipe:
        told = pipe.read()
    os.waitpid(pid, 0)
    return list(json.loads(told))


def main() -> int:
    client, *hows = sys.argv[1:]
    if hows[0] == "each":
        importlib.import_module(client.partition("-")[0])
        print(json.dumps([in_a_fork(PROGRAMS[name], changes) for name, changes in json.loads(hows[1])]))
        return 0
    for how in hows:
        exit_code, stdout, stderr = ended(PROGRAMS[f"{client} {how}"])
        print(stdout, end="")
        print(stderr, end="", file=sys.stderr)
        if exit_code:
            return exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
