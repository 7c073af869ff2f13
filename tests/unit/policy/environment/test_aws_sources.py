"""What AWS's settings have run for keys is found, however it is written."""

from __future__ import annotations

import time

import pytest

from nono.policy.environment.aws_sources import aws_endpoints, aws_programs
from support.running.pace import PACE

ENVIRON = {"HOME": "/home/me", "AWS_CONFIG_FILE": "~/config"}
FILES = {"/home/me/config": "config", "/home/me/.aws/credentials": "credentials"}


@pytest.mark.parametrize(
    "text",
    [
        "[profile work]\ncredential_process = /p/vend --for work\n",
        "[default]\nCredential_Process:/p/vend --for work",
        "[default]\n  credential_process = '/p/vend'\n    --for work\nregion = eu\n",
        "[default]\r\ncredential_process=/p/vend --for work\r\n",
    ],
)
@pytest.mark.parametrize("where", ["config", "credentials"])
def test_a_program_is_found_with_its_arguments(text: str, where: str) -> None:
    texts = {path: text for path, name in FILES.items() if name == where}
    assert [*aws_programs(ENVIRON, texts.get)] == [["/p/vend", "--for", "work"]]


def test_a_line_that_no_shell_could_split_is_split_at_its_blanks() -> None:
    texts = {"/home/me/config": "credential_process = /p/vend it's"}
    assert [*aws_programs(ENVIRON, texts.get)] == [["/p/vend", "it's"]]


@pytest.mark.parametrize("text", [None, "", "credential_process =\n", "# credential_process = /p/vend\n"])
def test_settings_without_a_program_name_none(text: str | None) -> None:
    assert not [*aws_programs(ENVIRON, lambda path: text)]


def test_an_endpoint_is_found_with_its_blanks_about_it() -> None:
    texts = {"/home/me/config": "[default]\nendpoint_url =  https://a.example \t\n"}
    assert [*aws_endpoints(ENVIRON, texts.get)] == ["https://a.example"]


@pytest.mark.parametrize(
    "line", ["role_arn = x{blanks}y", "{blanks}", "role_arn{blanks}x", "credential_process{blanks}"]
)
def test_no_settings_take_long_to_read(line: str) -> None:
    """A command may have written them where the environment names a file of a project: a start would hang."""
    text = "[default]\n" + line.format(blanks=" " * (1 << 20)) + "\n"
    began_s = time.process_time()
    assert not [*aws_endpoints(ENVIRON, lambda path: text)]
    assert not [*aws_programs(ENVIRON, lambda path: text)]
    assert time.process_time() - began_s < 2 * PACE
