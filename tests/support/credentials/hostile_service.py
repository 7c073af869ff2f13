"""A Secret Service that lies: `python -m support.credentials.hostile_service HOW`, on the session bus.

HOW: `size=N` gives a secret of N bytes; `prompt=never`, `dismissed` or `lies` ends a prompt in that way;
`silent=MEMBER` never answers that call, `silent=*` none. It says "ready" once it has the name, "asked" when
it is to ask a person, and runs until it is killed.
"""

from __future__ import annotations

import sys
from typing import Any

from jeepney import (
    DBusAddress,
    HeaderFields,
    Message,
    MessageType,
    new_error,
    new_method_return,
    new_signal,
)
from jeepney.bus_messages import message_bus
from jeepney.io.blocking import open_dbus_connection

NAME = "org.freedesktop.secrets"
COLLECTION = "/org/freedesktop/secrets/collection/login"
SESSION = "/org/freedesktop/secrets/session/1"
ACCOUNT = "acc\x1b]0;title\x07\nopenai"
PROMPTS = {"dismissed": (True, ("s", "")), "lies": (False, ("ao", [COLLECTION]))}


def main(how: str) -> None:
    what, _, value = how.partition("=")
    connection = open_dbus_connection("SESSION")
    connection.send_and_get_reply(message_bus.RequestName(NAME, 0))
    print("ready", flush=True)
    while True:
        call = connection.receive()
        if call.header.message_type is not MessageType.method_call:
            continue
        member = call.header.fields.get(HeaderFields.member)
        if what == "silent" and value in (member, "*"):
            continue
        if member == "Prompt":
            print("asked", flush=True)
        connection.send(_answer(call, what, value))
        if member == "Prompt" and value in PROMPTS:
            path = call.header.fields[HeaderFields.path]
            prompt = DBusAddress(path, interface="org.freedesktop.Secret.Prompt")
            connection.send(new_signal(prompt, "Completed", "bv", PROMPTS[value]))


def _answer(call: Message, what: str, value: str) -> Message:
    fields = call.header.fields
    match fields.get(HeaderFields.member):
        case "OpenSession" if call.body[0] == "plain":
            return new_method_return(call, "vo", (("s", ""), SESSION))
        case "OpenSession":
            return new_error(call, "org.freedesktop.DBus.Error.NotSupported")
        case "ReadAlias":
            return new_method_return(call, "o", (COLLECTION,))
        case "SearchItems" if fields[HeaderFields.interface].endswith("Service"):
            return new_method_return(call, "aoao", ([f"{COLLECTION}/1"], []))
        case "SearchItems":
            return new_method_return(call, "ao", ([f"{COLLECTION}/1"],))
        case "Get":
            return new_method_return(call, "v", (_property(call.body[1], locked=what == "prompt"),))
        case "Unlock":
            return new_method_return(call, "aoo", ([], "/org/freedesktop/secrets/prompt/1"))
        case "Prompt":
            return new_method_return(call)
        case "GetSecret":
            secret = b"k" * (int(value) if what == "size" else 40)
            return new_method_return(call, "(oayays)", ((SESSION, b"", secret, "text/plain"),))
        case _:
            return new_error(call, "org.freedesktop.DBus.Error.UnknownMethod")


def _property(name: str, *, locked: bool) -> tuple[str, Any]:
    match name:
        case "Locked":
            return "b", locked
        case "Attributes":
            return "a{ss}", {"service": "nono", "username": ACCOUNT}
        case _:
            return "ao", [f"{COLLECTION}/1"]


if __name__ == "__main__":
    main(sys.argv[1])
