"""Which lines of git's settings seem to hold a key, and what a person is told of them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from nono.policy.git.settings_keys import line_with_key
from nono.policy.path_expansion import Filesystem
from nono.policy.resolve import Resolved
from nono.policy.schema.profile import Filesystem as Files
from nono.policy.schema.profile import Profile

MakeFilesystem = Callable[..., Filesystem]
Resolve = Callable[..., Resolved]

SETTINGS = "/home/ada/.gitconfig"
REWRITTEN = '[url "https://oauth2:abc@git.example/"]\n\tinsteadOf = https://git.example/\n'


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (f"[user]\n\tname = Ada\n{REWRITTEN}", 3),
        ("[http]\n\tproxy = http://ada:pw@proxy.example\n", 2),
        ('[http "https://git.example"]\n\textraHeader = "Authorization: Bearer abc"\n', 2),
        ("[http]\n\textraHeader = Authorization: Basic abc\n", 2),
        ("[http]\n\textraHeader = PRIVATE-TOKEN: abc\n", 2),
        ("[http]\n\textraHeader = X-Api-Key: abc\n", 2),
        ("[http]\n\textraHeader = Proxy-Authorization: Basic abc\n", 2),
        ("[credential]\n\toauthClientSecret = abc\n", 2),
        ("[sendemail]\n\tsmtpPass = abc\n", 2),
        ("[sendemail]\n\tsmtpPass = !abc\n", 2),
        ("[github]\n\toauth-token = abc\n", 2),
        ("[github] token = abc\n", 1),
        (f"#{REWRITTEN}", None),
        ('[url "ssh://git@git.example/"]\n\tinsteadOf = https://git.example/\n', None),
        ('[credential "https://git.example"]\n\thelper = !gh auth git-credential\n\tusername = ada\n', None),
        ("[core]\n\taskPass = /usr/bin/ssh-askpass\n[credential]\n\ttraceSecrets = false\n", None),
        ("[alias]\n\ttoken = !gh auth token\n\tpass = push --force-with-lease\n", None),
        ("[alias]\n\tpass = push\n[sendemail]\n\tsmtpPass = abc\n", 4),
        ("[credential]\n\tpasswordStore = ~/.password-store\n", None),
        ("[credential]\n\tpasswordStored = /abc\n", 2),
        ("[jira]\n\tapiKey = abc\n", 2),
        ("[user]\n\tsigningKey = 0123456789ABCDEF\n", None),
        ("[http]\n\textraHeader = Accept-Language: en\n[user]\n\tpassword =\n", None),
    ],
)
def test_a_key_in_settings_is_found_by_its_name_or_shape(text: str, line: int | None) -> None:
    assert line_with_key(text) == line


def test_a_key_that_the_command_can_read_in_settings_is_told(run: Resolve, make_fs: MakeFilesystem) -> None:
    own = f"{SETTINGS}.own"
    fs = make_fs(texts={SETTINGS: "[include]\n\tpath = ~/.gitconfig.own\n", own: REWRITTEN})
    (told,) = [each for each in run(fs=fs).warnings if "seems to hold a key" in each]
    assert told.startswith(f"Line 1 of {own} seems to hold a key, and the command can read it")
    denied = Profile(filesystem=Files(deny=(own,)))
    assert not [each for each in run(denied, fs=fs).warnings if "seems to hold a key" in each]
