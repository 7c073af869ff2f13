"""config.toml: what it says holds where no variable says otherwise, and a mistake in it has its place."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from nono.audit.redact import redaction_of
from nono.errors import ConfigError, NonoError
from nono.settings.file import config_path, user_config
from nono.settings.user_config import Audit, RedactionNames, Rollback, Ui, Updates, UserConfig


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    (tmp_path / ".config/nono").mkdir(parents=True)
    return {"HOME": str(tmp_path)}


def write(environ: dict[str, str], text: str | bytes) -> Path:
    path = Path(config_path(environ))
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16-le", "utf-16-be"])
def test_a_byte_order_mark_is_named(environ: dict[str, str], encoding: str) -> None:
    mark = "" if encoding == "utf-8-sig" else "\ufeff"
    write(environ, f'{mark}[ui]\r\ntheme = "latte"\r\n'.encode(encoding))
    with pytest.raises(ConfigError, match="begins with a byte order mark: save it as UTF-8 without one"):
        user_config(environ)
    write(environ, b'[ui]\r\ntheme = "latte"\r\n')
    assert user_config(environ).ui.theme == "latte"


WHOLE = """
[ui]
theme = "latte"
detach_sequence = "ctrl-a esc"
[undo]
max_sessions = 3
max_storage_gb = 1
max_snapshots = 7
stale_grace_hours = 0
[updates]
check = false
[redaction]
add_flags = ["--pin"]
remove_flags = ["--auth"]
unsafe_redaction_overrides = true
[audit]
anchors = ["rfc3161:https://tsa.example"]
otlp = "https://otel.example"
"""


@pytest.mark.parametrize("long_lived", [False, True])
def test_a_file_is_laid_over_the_defaults(environ: dict[str, str], long_lived: bool) -> None:
    assert user_config(environ, long_lived=long_lived) == UserConfig()
    write(environ, WHOLE)
    assert user_config(environ, long_lived=long_lived) == UserConfig(
        ui=Ui("latte", "ctrl-a esc"),
        rollback=Rollback(max_sessions=3, max_storage_gb=1.0, max_snapshots=7, stale_grace_hours=0),
        updates=Updates(check=False),
        redaction=RedactionNames(
            add_flags=("--pin",), remove_flags=("--auth",), unsafe_redaction_overrides=True
        ),
        audit=Audit(anchors=("rfc3161:https://tsa.example",), otlp="https://otel.example"),
    )


OTHER_NAMES = """
[redaction]
extra_flags = ["--pin"]
extra_headers = ["X-Mine"]
extra_query_keys = ["sig"]
extra_env_vars = ["MY_KEY"]
allow_unredacted_defaults = ["--auth", "state"]
unsafe_redaction_overrides = true
"""


def test_names_that_mark_secrets_may_be_given_under_the_other_names_of_their_fields(
    environ: dict[str, str],
) -> None:
    write(environ, OTHER_NAMES)
    names = user_config(environ).redaction
    assert (names.add_flags, names.add_headers) == (("--pin",), ("X-Mine",))
    assert (names.add_query_keys, names.add_env_names) == (("sig",), ("MY_KEY",))
    redaction = redaction_of(names)
    assert {"--pin", "--token"} <= {*redaction.flags}
    assert "--auth" not in redaction.flags
    assert "state" not in redaction.query_keys
    assert {"key", "sig"} <= {*redaction.query_keys}


def test_any_amount_of_storage_is_a_number_of_bytes(environ: dict[str, str]) -> None:
    write(environ, "[rollback]\nmax_storage_gb = 1e308")
    assert user_config(environ).rollback.storage_bytes_max == 1 << 60
    write(environ, "[rollback]\nmax_storage_gb = 0.5")
    assert user_config(environ).rollback.storage_bytes_max == 1 << 29


@pytest.mark.parametrize("text", [None, "", '[ui]\ntheme = "latte"\n[updates]\ncheck = true'])
def test_a_variable_goes_before_the_file(environ: dict[str, str], text: str | None) -> None:
    if text is not None:
        write(environ, text)
    said = user_config({**environ, "NONO_THEME": "frappe", "NONO_NO_UPDATE_CHECK": ""})
    assert (said.ui.theme, said.updates.check) == ("frappe", False)
    assert said.ui.detach_sequence == "ctrl-] d"
    unsaid = user_config({**environ, "NONO_THEME": ""})
    assert (unsaid.ui.theme, unsaid.updates.check) == ("latte" if text else "mocha", True)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[ui]\ntheme latte", "line 2, column 7: Expected '=' after a key in a key/value pair"),
        ("[ui]\n\ntheme =", "line 3, at its end: Invalid value"),
        ('[ui]\ntheme = "a"\ntheme = "b"', "line 3, "),
        (b'[ui]\ntheme = "\xff"', "byte 14 is not UTF-8."),
        ('[ui]\nthem = "a"', "ui.them: no such key (did you mean 'theme'?)"),
        ("[uii]", "uii: no such key (did you mean 'ui'?)"),
        ("[nothing-like-it]", "nothing-like-it: no such key"),
        ("ui = 3", "ui: expected a table"),
        ('ui = ["a", "b"]', "ui: expected a table"),
        ("[ui]\ntheme = 3", "ui.theme: expected a string"),
        ('[ui]\ndetach_sequence = "x"', "ui.detach_sequence: 'x': at least 2 keys are expected"),
        ('[ui]\ndetach_sequence = "ctrl-! d"', "'ctrl-!' is not a key"),
        ("[sessions]\nscreen_recording_mb = 0", "sessions.screen_recording_mb: 0 is not a number from 1 to"),
        (
            "[sessions]\nscreen_recording_mb = 1025",
            "sessions.screen_recording_mb: 1025 is not",
        ),
        ("[audit]\nsession_max_mb = 0", "audit.session_max_mb: 0 is not a number from 1 on"),
        ('[redaction]\nadd_flags = ["--x\\u001b"]', "redaction.add_flags: a name is empty or holds control"),
        ("[rollback]\nmax_sessions = 1.5", "rollback.max_sessions: expected a whole number"),
        ("[rollback]\nmax_storage_gb = -1", "rollback.max_storage_gb: -1.0 is not a number from 0 on"),
        ("[rollback]\nmax_storage_gb = inf", "rollback.max_storage_gb: inf is not a number from 0 on"),
        ("[rollback]\nmax_storage_gb = nan", "rollback.max_storage_gb: nan is not a number from 0 on"),
        ("[rollback]\n[undo]", "undo: another name of rollback, which is given too"),
        ('[updates]\ncheck = "perhaps"', "updates.check: expected true or false"),
        ('[redaction]\nadd_flags = "--x"', "redaction.add_flags: expected a list"),
        ('[redaction]\nadd_flags = [""]', "redaction.add_flags: a name is empty"),
        ('[redaction]\nextra_flags = "--x"', "redaction.extra_flags: expected a list"),
        (
            '[redaction]\nextra_flags = ["--x"]\nadd_flags = ["--y"]',
            "redaction.extra_flags: another name of add_flags, which is given too",
        ),
        (
            '[redaction]\nallow_unredacted_defaults = ["cookie"]',
            "redaction.allow_unredacted_defaults: needs unsafe_redaction_overrides = true beside it",
        ),
        (
            '[redaction]\nremove_headers = ["cookie"]',
            "redaction.remove_headers: needs unsafe_redaction_overrides = true beside it",
        ),
    ],
)
@pytest.mark.parametrize("long_lived", [False, True])
def test_a_mistake_is_said_with_its_place(
    environ: dict[str, str], text: str | bytes, complaint: str, long_lived: bool
) -> None:
    path = write(environ, text)
    with pytest.raises(ConfigError) as raised:
        user_config(environ, long_lived=long_lived)
    assert raised.value.message.startswith(f"{path}: ")
    assert complaint in raised.value.message


def test_every_mistake_is_said(environ: dict[str, str]) -> None:
    path = write(environ, "[ui]\ntheme = 3\n[updates]\nchek = true\n[x]")
    with pytest.raises(ConfigError) as raised:
        user_config(environ)
    lines = raised.value.message.splitlines()
    assert len(lines) == 3
    assert all(line.startswith(f"{path}: ") for line in lines)


def test_what_is_no_file_does_not_hold_nono_up(environ: dict[str, str]) -> None:
    path = Path(config_path(environ))
    os.mkfifo(path)
    with pytest.raises(NonoError, match="not a regular file"):
        user_config(environ)
    path.unlink()
    path.mkdir()
    with pytest.raises(NonoError, match="not a regular file"):
        user_config(environ)
    path.rmdir()
    path.symlink_to("nowhere")
    with pytest.raises(NonoError, match="No such file"):
        user_config(environ)


@pytest.mark.parametrize("has_file", [False, True])
def test_reading_settings_leaves_no_slow_module_imported(environ: dict[str, str], has_file: bool) -> None:
    if has_file:
        write(environ, WHOLE)
    program = (
        "import os, sys; from nono.settings.file import user_config;"
        "config = user_config(dict(os.environ), long_lived=True);"
        "slow = {'pydantic', 'pydantic_settings', 'tomllib'} & set(sys.modules);"
        "print(config.ui.theme, sorted(slow))"
    )
    said = subprocess.run(
        [sys.executable, "-c", program], env=environ, capture_output=True, text=True, check=True
    )
    assert said.stdout == ("latte []\n" if has_file else "mocha []\n")


def test_a_file_that_was_seen_before_is_not_validated_again(environ: dict[str, str]) -> None:
    write(environ, WHOLE)
    program = (
        "import os, sys; from nono.settings.file import user_config; config = user_config(dict(os.environ));"
        "print('pydantic' in sys.modules, config)"
    )

    def said(**variables: str) -> tuple[str, str]:
        argv = [sys.executable, "-c", program]
        done = subprocess.run(argv, env={**environ, **variables}, capture_output=True, text=True, check=True)
        imported, _, config = done.stdout.partition(" ")
        return imported, config

    first, second = said(), said()
    assert (first[0], second[0]) == ("True", "False")
    assert first[1] == second[1]
    assert "theme='frappe'" in said(NONO_THEME="frappe")[1]
    write(environ, WHOLE.replace("latte", "macchiato"))
    assert "theme='macchiato'" in said()[1]
    write(environ, "[ui]\nthem = 1")
    for _ in range(2):  # a mistake is not kept
        with pytest.raises(ConfigError):
            user_config(environ)
