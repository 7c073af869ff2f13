"""Python clients beside those of programs, which find the service under its own name.

    python intercept_programs.py CLIENT whole|streamed ...

Prints the text of each answer. Exit 1 says on stderr what the client made of a refusal: its status, or the
error.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))  # isolated Python has no other way to a neighbour

from support.clients.programs import QUESTION, joined


def aiohttp_whole() -> str:
    return asyncio.run(_aiohttp(streamed=False))


def aiohttp_streamed() -> str:
    return asyncio.run(_aiohttp(streamed=True))


async def _aiohttp(*, streamed: bool) -> str:
    import aiohttp

    base, key = os.environ["OPENAI_BASE_URL"], os.environ["OPENAI_API_KEY"]
    texts: list[str] = []
    async with aiohttp.ClientSession(
        headers={"Authorization": f"Bearer {key}"}, raise_for_status=True, trust_env=True
    ) as session:
        asked = QUESTION | {"stream": streamed}
        async with session.post(f"{base}/chat/completions", json=asked) as response:
            if not streamed:
                return str((await response.json())["choices"][0]["message"]["content"])
            async for line in response.content:
                if line.startswith(b"data: {"):
                    texts.append(json.loads(line[6:])["choices"][0]["delta"]["content"])
                    if len(texts) == 1:
                        async with session.get(f"{base}/models") as models:
                            await models.read()
    return "|".join(texts)


def genai_whole() -> str:
    with _genai() as client:
        return str(client.models.generate_content(model="m", contents="hello").text)


def genai_streamed() -> str:
    with _genai() as client:
        chunks = client.models.generate_content_stream(model="m", contents="hello")
        return joined((str(chunk.text) for chunk in chunks), client.models.list)


def _genai() -> Any:
    from google import genai

    return genai.Client()


def websockets_whole() -> str:
    """Return what a WebSocket answers to one message."""
    from websockets.sync.client import connect

    url = os.environ["OPENAI_BASE_URL"].replace("https://", "wss://") + "/realtime"
    headers = {"Authorization": f"Bearer {os.environ['OPENAI_API_KEY']}"}
    with connect(url, additional_headers=headers) as socket:
        socket.send("hello")
        return str(socket.recv())


def grpc_whole() -> str:
    """Return the answer to one message, and a trailer behind it."""
    import grpc  # type: ignore[import-untyped]  # it ships no types

    with grpc.secure_channel(os.environ["AUTHORITY"], grpc.ssl_channel_credentials()) as channel:
        say = channel.unary_unary("/canary.Echo/Say")
        answer, call = say.with_call(b"hello", metadata=_grpc_metadata(), timeout=20)
        return "|".join([answer.decode(), *_values(call.trailing_metadata())])


def grpc_streamed() -> str:
    """Do the same, but send the second message only when the first one's answer has arrived."""
    import grpc

    first_answered = threading.Event()

    def messages() -> Iterator[bytes]:
        yield b"first"
        first_answered.wait()
        yield b"last"

    with grpc.secure_channel(os.environ["AUTHORITY"], grpc.ssl_channel_credentials()) as channel:
        talk = channel.stream_stream("/canary.Echo/Talk")
        call = talk(messages(), metadata=_grpc_metadata(), timeout=20)
        answers = joined((answer.decode() for answer in call), first_answered.set)
        return "|".join([answers, *_values(call.trailing_metadata())])


def _grpc_metadata() -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {os.environ['TOKEN']}"),)


def _values(metadata: Any) -> list[str]:
    return [value for name, value in metadata if name.startswith("canary")]


PROGRAMS = {
    "grpc whole": grpc_whole,
    "grpc streamed": grpc_streamed,
    "aiohttp whole": aiohttp_whole,
    "aiohttp streamed": aiohttp_streamed,
    "google-genai whole": genai_whole,
    "google-genai streamed": genai_streamed,
    "websockets whole": websockets_whole,
}


def main() -> int:
    client, *hows = sys.argv[1:]
    try:
        for how in hows:
            print(PROGRAMS[f"{client} {how}"]())
    except Exception as error:  # each client has its own, with the status in one of four places
        response = getattr(error, "response", None)
        places = [(response, "status_code"), (error, "status"), (error, "code")]
        status = next(
            (found for place, name in places if isinstance(found := getattr(place, name, None), int)), 0
        )
        print(f"refused {status or repr(error)}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
