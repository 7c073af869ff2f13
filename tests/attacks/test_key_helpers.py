"""K20-settings: a command decides what a program obeys, or starts, that prints a key outside the sandbox."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.nono_run import Ended, NonoRun

KEY = "sk-canary-0123456789"
# As GnuPG, which starts what gpg.conf names: each of these stands for a manager with its settings.
MANAGER = f"""#!/bin/sh
for each in "$GNUPGHOME" "$PASSWORD_STORE_DIR" "$OP_CONFIG_DIR" "$BITWARDENCLI_APPDATA_DIR" "$HOME/.gnupg"; do
    test -x "$each/agent" && "$each/agent"
done
echo {KEY}
"""
REFERENCES = {"pass": "pass://work/api", "op": "op://work/api/key", "bw": "bw://api"}


@pytest.fixture
def managers(sandbox: NonoRun) -> Path:
    """Return a directory of the person's own with all three managers."""
    own = _made(sandbox, "managers")
    for name in REFERENCES:
        _write(sandbox, own / name, MANAGER)
    return own


def run(sandbox: NonoRun, reference: str, path: str, *flags: str, **variables: str) -> Ended:
    custom = {"upstream": "https://127.0.0.1:9", "credential_key": reference, "env_var": "DEMO_KEY"}
    return sandbox.run(
        ["sh", "-c", "echo ${DEMO_KEY:+has-a-phantom}"],
        profile={"network": {"custom_credentials": {"demo": custom}}},
        flags=["--credential=demo", *flags],
        environment={"PATH": path, **variables},
    )


@pytest.mark.parametrize(
    ("manager", "variable"),
    [
        ("pass", "GNUPGHOME"),
        ("pass", "PASSWORD_STORE_DIR"),
        ("op", "OP_CONFIG_DIR"),
        ("bw", "BITWARDENCLI_APPDATA_DIR"),
    ],
)
def test_what_a_manager_obeys_is_not_the_commands_to_write(
    sandbox: NonoRun, managers: Path, manager: str, variable: str
) -> None:
    settings, marker = _made(sandbox, "settings"), sandbox.user.home / f"ran-for-{variable}"
    _write(sandbox, settings / "agent", f"#!/bin/sh\ntouch {marker}\n")
    path, named = f"{managers}:/usr/bin:/bin", {variable: str(settings)}
    refused = run(sandbox, REFERENCES[manager], path, f"--allow={settings}", **named)
    assert refused.exit_code != 0
    assert f"obeys settings in '{settings}', which {variable} names" in refused.stderr, refused.stderr
    assert not marker.exists()
    allowed = run(sandbox, REFERENCES[manager], path, f"--read={settings}", **named)
    assert allowed.stdout == "has-a-phantom\n", allowed.stderr
    assert marker.exists()


def test_settings_behind_a_link_are_not_the_commands_to_write(sandbox: NonoRun, managers: Path) -> None:
    dotfiles, marker = _made(sandbox, "dotfiles"), sandbox.user.home / "ran-by-a-link"
    _write(sandbox, dotfiles / "agent", f"#!/bin/sh\ntouch {marker}\n")
    usual = _made(sandbox, ".gnupg")
    (usual / "agent").symlink_to(dotfiles / "agent")
    refused = run(sandbox, REFERENCES["pass"], f"{managers}:/usr/bin:/bin", f"--allow={dotfiles}")
    said = f"obeys settings in '{usual}'. The command may write {dotfiles}"
    assert said in refused.stderr, refused.stderr
    assert not marker.exists()


def test_what_a_manager_starts_by_name_is_not_found_where_the_command_writes(
    sandbox: NonoRun, managers: Path
) -> None:
    tools, marker = _made(sandbox, "tools"), sandbox.user.home / "ran-by-name"
    _write(sandbox, managers / "op", f"#!/bin/sh\nvend 2>/dev/null\necho {KEY}\n")
    _write(sandbox, tools / "vend", f"#!/bin/sh\ntouch {marker}\n")
    path = f"{managers}:{tools}:/usr/bin:/bin"
    for access, is_run in (("allow", False), ("read", True)):
        ended = run(sandbox, REFERENCES["op"], path, f"--{access}={tools}")
        assert ended.stdout == "has-a-phantom\n", ended.stderr
        assert marker.exists() == is_run


def test_a_manager_that_the_command_may_write_is_not_run(sandbox: NonoRun, managers: Path) -> None:
    refused = run(sandbox, REFERENCES["op"], f"{managers}:/usr/bin:/bin", f"--allow={managers}")
    assert f"{managers}/op runs outside the sandbox to fetch its key" in refused.stderr, refused.stderr


def _made(sandbox: NonoRun, name: str) -> Path:
    directory = sandbox.user.home / name
    return directory if directory.exists() else sandbox.make(directory)


def _write(sandbox: NonoRun, path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)
    sandbox.give(path)
