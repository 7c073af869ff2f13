"""The mirrored constants and layouts against this machine's headers and against libseccomp's tables."""

from __future__ import annotations

import ast
import os
import re
import shutil
import struct
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pyseccomp
import pytest

from nono.kernel.uapi import (
    file_ioctl as uapi_file_ioctl,
)
from nono.kernel.uapi import (
    inet_diag as uapi_inet_diag,
)
from nono.kernel.uapi import (
    inotify as uapi_inotify,
)
from nono.kernel.uapi import (
    landlock as uapi_landlock,
)
from nono.kernel.uapi import (
    mount as uapi_mount,
)
from nono.kernel.uapi import (
    open as uapi_open,
)
from nono.kernel.uapi import (
    process as uapi_process,
)
from nono.kernel.uapi import (
    rename as uapi_rename,
)
from nono.kernel.uapi import (
    seccomp as uapi_seccomp,
)
from nono.kernel.uapi import (
    sockopt as uapi_sockopt,
)
from nono.kernel.uapi.seccomp import AUDIT_ARCH, SYSCALL_NUMBERS

HEADERS: dict[ModuleType, tuple[str, ...]] = {
    uapi_landlock: ("linux/landlock.h",),
    uapi_file_ioctl: ("linux/btrfs.h", "linux/fsverity.h", "linux/fscrypt.h"),
    uapi_inotify: ("linux/inotify.h",),
    uapi_inet_diag: ("linux/netlink.h", "linux/sock_diag.h", "linux/inet_diag.h", "netinet/tcp.h"),
    uapi_rename: ("linux/fs.h",),
    uapi_mount: ("sys/mount.h", "linux/mount.h", "linux/fcntl.h", "linux/stat.h"),
    uapi_seccomp: ("linux/ioctl.h", "linux/seccomp.h", "linux/audit.h", "linux/filter.h"),
    uapi_open: ("linux/fcntl.h", "linux/openat2.h", "linux/limits.h", "linux/magic.h"),
    uapi_sockopt: ("linux/in.h", "linux/in6.h", "linux/tcp.h", "asm/socket.h"),
    uapi_process: (
        "sys/resource.h",
        "linux/ioprio.h",
        "sys/socket.h",
        "netinet/in.h",
        "sys/uio.h",
        "linux/prctl.h",
        "linux/pidfd.h",
        "linux/sched.h",
        "linux/if.h",
        "linux/if_alg.h",
        "linux/perf_event.h",
        "linux/sockios.h",
    ),
}
# Not in any header that programs may include: the machine's syscall bit, and net.h's mask.
NOT_EXPORTED = {"X32_SYSCALL_BIT", "SOCK_TYPE_MASK"} | {"AT_FDCWD"}  # negative
STRUCTS: dict[ModuleType, dict[str, str]] = {
    uapi_landlock: {
        "PATH_BENEATH_ATTR": "struct landlock_path_beneath_attr",
        "NET_PORT_ATTR": "struct landlock_net_port_attr",
        "RULESET_ATTR_SCOPED": "struct landlock_ruleset_attr",
    },
    uapi_seccomp: {
        "SECCOMP_DATA": "struct seccomp_data",
        "SECCOMP_NOTIF": "struct seccomp_notif",
        "SECCOMP_NOTIF_RESP": "struct seccomp_notif_resp",
        "SECCOMP_NOTIF_ADDFD": "struct seccomp_notif_addfd",
        "SOCK_FILTER": "struct sock_filter",
        "SOCK_FPROG": "struct sock_fprog",
    },
    uapi_open: {"OPEN_HOW": "struct open_how"},
    uapi_inotify: {"EVENT": "struct inotify_event"},
    uapi_mount: {"MOUNT_ATTR": "struct mount_attr", "STATX": "struct statx"},
    uapi_process: {"IOVEC": "struct iovec", "IFREQ_FLAGS": "struct ifreq"},
}


def header_constants(module: ModuleType) -> dict[str, int]:
    return {
        name: value
        for name, value in vars(module).items()
        if name.isupper()
        and isinstance(value, int)
        and not name.startswith("NR_")
        and name not in NOT_EXPORTED
    }


@pytest.fixture(scope="module")
def compiler() -> str:
    found = shutil.which("cc")
    if found is None:
        pytest.skip("no C compiler")
    return found


def run_probe(compiler: str, tmp_path: Path, headers: tuple[str, ...], body: str) -> dict[str, int]:
    source = tmp_path / "probe.c"
    includes = "".join(f"#include <{header}>\n" for header in ("stdio.h", *headers))
    source.write_text(f"#define _GNU_SOURCE\n{includes}int main(void) {{\n{body}return 0;\n}}\n")
    subprocess.run([compiler, "-w", "-o", tmp_path / "probe", source], check=True, timeout=60)
    output = subprocess.run(
        [tmp_path / "probe"], check=True, capture_output=True, text=True, timeout=10
    ).stdout
    return {name: int(value) for name, value in (line.split() for line in output.splitlines())}


def print_constant(name: str, spelled: str | None = None) -> str:
    return f'printf("{name} %llu\\n", (unsigned long long)({spelled or name}));\n'


# An enumerator, invisible to #ifdef.
ENUMERATORS = {
    "LANDLOCK_RULE_PATH_BENEATH",
    "LANDLOCK_RULE_NET_PORT",
    "SOCK_STREAM",
    "SOCK_DGRAM",
    "SOCK_RAW",
}
ENUMERATORS |= {"IPPROTO_IP", "IPPROTO_TCP", "MSG_FASTOPEN", "IFF_UP"}
ENUMERATORS |= {"PRIO_PROCESS", "PRIO_PGRP", "PRIO_USER"}
ENUMERATORS |= {"IOPRIO_WHO_PROCESS", "IOPRIO_WHO_PGRP", "IOPRIO_WHO_USER"}


@pytest.mark.parametrize("module", HEADERS, ids=lambda module: module.__name__)
def test_every_constant_has_the_value_of_the_header(
    module: ModuleType, compiler: str, tmp_path: Path
) -> None:
    constants = header_constants(module)
    body = "".join(
        print_constant(name) if name in ENUMERATORS else f"#ifdef {name}\n{print_constant(name)}#endif\n"
        for name in constants
    )
    values = run_probe(compiler, tmp_path, HEADERS[module], body)
    assert len(values) > len(constants) // 2  # headers older than a flag lack it; none lacks most
    assert {name: constants[name] for name in values} == values


@pytest.mark.parametrize("module", STRUCTS, ids=lambda module: module.__name__)
def test_every_struct_has_the_size_of_the_header(module: ModuleType, compiler: str, tmp_path: Path) -> None:
    names = STRUCTS[module]
    body = "".join(print_constant(name, f"sizeof({spelled})") for name, spelled in names.items())
    sizes = run_probe(compiler, tmp_path, HEADERS[module], body)
    if sizes.get("RULESET_ATTR_SCOPED") in (8, 16, 48):  # before scopes; with fields of ABI 10
        del sizes["RULESET_ATTR_SCOPED"]
    assert {name: getattr(module, name).size for name in sizes} == sizes


def test_system_call_numbers_are_those_of_this_machines_headers(compiler: str, tmp_path: Path) -> None:
    machine = os.uname().machine
    numbers = SYSCALL_NUMBERS[machine]
    body = "".join(f"#ifdef __NR_{name}\n{print_constant(name, f'__NR_{name}')}#endif\n" for name in numbers)
    values = run_probe(compiler, tmp_path, ("sys/syscall.h",), body)
    assert len(values) > len(numbers) // 2
    assert {name: numbers[name] for name in values} == values


@pytest.mark.parametrize(("machine", "headers"), [("x86_64", "x86"), ("aarch64", "arm64")])
def test_system_call_numbers_are_those_of_a_machines_headers(
    machine: str, headers: str, compiler: str
) -> None:
    """Debian's linux-libc-dev has those of every machine; nothing of it is run."""
    directory = Path("/usr/lib/linux/uapi", headers)
    if not directory.is_dir():
        pytest.skip(f"no headers of {machine}")
    macros = subprocess.run(
        [compiler, "-nostdinc", "-isystem", directory, "-isystem", "/usr/include", "-E", "-dM", "-"],
        input="#include <asm/unistd.h>\n",
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout
    # Calls that differ between 32 and 64 bits have their number under another name.
    found = dict(re.findall(r"^#define __NR(?:3264)?_(\w+) (\d+)$", macros, re.MULTILINE))
    assert {name: int(found[name]) for name in SYSCALL_NUMBERS[machine]} == SYSCALL_NUMBERS[machine]


@pytest.mark.parametrize("machine", SYSCALL_NUMBERS)
def test_system_call_numbers_are_those_of_libseccomp(machine: str) -> None:
    numbers = SYSCALL_NUMBERS[machine]
    assert {name: pyseccomp.resolve_syscall(AUDIT_ARCH[machine], name) for name in numbers} == dict(numbers)


@pytest.mark.parametrize("machine", SYSCALL_NUMBERS)
def test_landlock_numbers_are_the_same_on_every_machine(machine: str) -> None:
    names = ("landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self")
    assert [pyseccomp.resolve_syscall(AUDIT_ARCH[machine], name) for name in names] == [444, 445, 446]


def test_sizes_are_those_that_the_ioctl_numbers_carry() -> None:
    def carried_size(request: int) -> int:
        return request >> 16 & 0x3FFF

    assert carried_size(uapi_seccomp.SECCOMP_IOCTL_NOTIF_RECV) == uapi_seccomp.SECCOMP_NOTIF.size == 80
    assert carried_size(uapi_seccomp.SECCOMP_IOCTL_NOTIF_SEND) == uapi_seccomp.SECCOMP_NOTIF_RESP.size == 24
    assert carried_size(uapi_seccomp.SECCOMP_IOCTL_NOTIF_ID_VALID) == struct.calcsize("=Q")


def test_the_hot_path_imports_no_heavy_module() -> None:
    program = (
        "import sys; import nono.kernel.seccomp, nono.kernel.landlock, nono.kernel.filters;"
        "print(sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    output = subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r}); {program}"],
        check=True,
        capture_output=True,
        text=True,
        timeout=20,
    ).stdout
    heavy = {
        "asyncio",
        "socket",
        "ssl",
        "subprocess",
        "pathlib",
        "typing",
        "dataclasses",
        "re",
        "inspect",
        "collections",
    }
    assert heavy & set(ast.literal_eval(output)) == set()


ROOT = Path(uapi_seccomp.__file__).parents[3]
