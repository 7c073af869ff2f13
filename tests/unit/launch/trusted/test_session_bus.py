"""nono.launch.trusted.session_bus: no command gets between a run and the keyring that it asks."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from nono.errors import ConfigError
from nono.launch.trusted.session_bus import with_judged_bus
from nono.policy.capability import Access, Grant
from nono.policy.host_filesystem import HostFilesystem
from nono.policy.hosts.mcp_servers import McpServer
from nono.policy.request import RunRequest
from nono.policy.resolve import Resolved, resolve

WRITTEN, READ = Access.READWRITE, Access.READ
KEYRING = RunRequest(env_credential_map=(("keyring://service/me", "KEY"),))
STORED = RunRequest(env_credential="stored")
VARIABLE = RunRequest(env_credential="env://KEY")


def judged(
    request: RunRequest,
    granted: Path,
    address: str,
    access: Access = WRITTEN,
    hidden: Path | None = None,
    servers: tuple[McpServer, ...] = (),
) -> Resolved:
    """Judge as Launch.prepare does. hidden: what is not there for the command."""
    environ = {"HOME": "/nowhere", "PATH": os.defpath, "DBUS_SESSION_BUS_ADDRESS": address}
    resolved = resolve(request, None, environ=environ, cwd="/", fs=HostFilesystem())
    grants = (Grant(str(granted), access, True, "user", str(granted)),)
    capabilities = resolved.capabilities._replace(grants=grants)
    resolved = resolved._replace(capabilities=capabilities, warnings=(), mcp_servers=servers)
    return with_judged_bus(resolved, environ, lambda path: path == str(hidden))


@pytest.mark.parametrize("request_", [KEYRING, STORED])
def test_a_bus_in_the_commands_reach_is_asked_for_no_key(request_: RunRequest, tmp_path: Path) -> None:
    granted, bus, other = tmp_path / "granted", tmp_path / "granted/bus", tmp_path / "bus"
    for address in (f"unix:path={bus},guid=1", f"unix:abstract=x;unix:path={bus}"):
        with pytest.raises(ConfigError, match=f"names '{bus}', in {granted}, which the command may write"):
            judged(request_, granted, address)
        assert judged(request_, granted, address.replace(str(bus), str(other))).warnings == ()
        assert judged(request_, granted, address, READ).warnings == ()
        assert judged(request_, granted, address, hidden=bus).warnings == ()


def test_nor_one_that_is_found_by_a_link_there(tmp_path: Path) -> None:
    granted = tmp_path / "granted"
    granted.mkdir()
    (granted / "link").symlink_to(tmp_path / "real")
    with pytest.raises(ConfigError, match="which the command may write"):
        judged(KEYRING, granted, f"unix:path={granted}/link/bus")
    judged(KEYRING, granted, f"unix:path={tmp_path}/real/bus")


def test_nor_one_whose_address_is_escaped(tmp_path: Path) -> None:
    """Buses escape the blanks of a path (D-Bus Specification, Server Addresses), and clients undo that."""
    granted = tmp_path / "my project"
    address = f"unix:path={tmp_path}/my%20project/bus"
    with pytest.raises(ConfigError, match=f"names '{granted}/bus', in {granted}, which"):
        judged(KEYRING, granted, address)
    assert judged(KEYRING, granted, address.replace("ject/", "jects/")).warnings == ()


def test_nor_for_the_key_of_an_mcp_server_beside_the_command(tmp_path: Path) -> None:
    """Its own run, in namespaces perhaps, does not know what this command may write."""
    keyed, other = McpServer("tracker", "--mcp-server", asks_keyring=True), McpServer("x", "--mcp-server")
    address = f"unix:path={tmp_path}/bus"
    with pytest.raises(ConfigError, match="MCP server 'tracker': DBUS_SESSION_BUS_ADDRESS names"):
        judged(RunRequest(), tmp_path, address, servers=(other, keyed))
    assert len(judged(RunRequest(), tmp_path, address, servers=(other,)).warnings) == 1


def test_a_run_without_keys_of_a_keyring_is_warned(tmp_path: Path) -> None:
    for request in (RunRequest(), VARIABLE):
        (said,) = judged(request, tmp_path, f"unix:path={tmp_path}/bus").warnings
        assert "it could listen there in place of the bus" in said


def test_every_desktop_has_a_bus_and_starts_no_later_for_it() -> None:
    code = (
        "import sys; from nono.launch.trusted import session_bus;"
        "print({'re', 'nono.credentials.values.reference'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"import sys; sys.path[:] = {sys.path!r}; {code}"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout == "set()\n"
