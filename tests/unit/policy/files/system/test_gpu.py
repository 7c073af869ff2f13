"""What --allow-gpu grants, by what is in /dev. No GPU is needed: the disk is in memory."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from nono.errors import ConfigError, SandboxError
from nono.policy.capability import Access
from nono.policy.files.system.gpu import gpu_grants
from nono.policy.path_expansion import Filesystem
from nono.policy.resolve import Resolved
from nono.policy.schema.profile import Meta, Profile

MakeFilesystem = Callable[..., Filesystem]
NVIDIA_READS = {"/proc/driver/nvidia", "/proc/driver/nvidia-uvm", "/proc/self"}
LIBRARIES = ("/usr/lib/wsl/lib", "/usr/share/vulkan", "/etc/vulkan", "/sys/class/drm")
DRIVER = ("/proc/driver/nvidia", "/proc/driver/nvidia-uvm")


@pytest.mark.parametrize(
    ("nodes", "granted", "is_nvidia"),
    [
        pytest.param(
            ["dri/renderD128", "dri/renderD129", "dri/card0", "dri/by-path"],
            ["dri/renderD128", "dri/renderD129"],
            False,
            id="render nodes and no card",
        ),
        pytest.param(
            ["nvidia0", "nvidia1", "nvidia12", "nvidiactl", "nvidia-uvm", "nvidia-uvm-tools"],
            ["nvidiactl", "nvidia-uvm", "nvidia-uvm-tools", "nvidia0", "nvidia1", "nvidia12"],
            True,
            id="NVIDIA",
        ),
        pytest.param(["nvidia0", "nvidia-modeset"], ["nvidia0"], True, id="no modeset"),
        pytest.param(
            ["nvidia-caps/nvidia-cap1", "nvidia-caps/nvidia-cap2"],
            ["nvidia-caps/nvidia-cap1", "nvidia-caps/nvidia-cap2"],
            True,
            id="a partition of a MIG only",
        ),
        pytest.param(["kfd", "dri/renderD128"], ["kfd", "dri/renderD128"], False, id="AMD"),
        pytest.param(["dxg"], ["dxg"], False, id="WSL2"),
        pytest.param(["dxg", "sda", "mem", "kvm"], ["dxg"], False, id="nothing else of /dev"),
        pytest.param(
            ["dxg", "nvidia", "nvidiax", "nvidia0x", "nvidia\u0661"], ["dxg"], False, id="odd names"
        ),
        pytest.param(
            ["dxg", "dri/renderD", "dri/renderD12x", "dri/controlD64"], ["dxg"], False, id="odd nodes"
        ),
    ],
)
def test_only_the_nodes_of_gpus_are_granted(
    nodes: list[str], granted: list[str], is_nvidia: bool, make_fs: MakeFilesystem
) -> None:
    fs = make_fs(files=tuple(f"/dev/{name}" for name in nodes), directories=(*LIBRARIES, *DRIVER))
    found = gpu_grants(None, fs)
    written = [grant.path for grant in found.grants if grant.access is Access.READWRITE]
    read = {grant.path for grant in found.grants if grant.access is Access.READ}
    assert written == [f"/dev/{name}" for name in granted]
    assert not any(grant.is_dir for grant in found.grants if grant.access is Access.READWRITE)
    assert read == {*LIBRARIES, *(NVIDIA_READS if is_nvidia else ())}
    assert all(grant.is_users for grant in found.grants)
    assert found.names_threads == is_nvidia


def test_what_is_not_there_is_not_granted(make_fs: MakeFilesystem) -> None:
    fs = make_fs(files=("/dev/nvidia0",), directories=("/usr/share/vulkan",))
    assert [grant.path for grant in gpu_grants(None, fs).grants] == [
        "/dev/nvidia0",
        "/usr/share/vulkan",
        "/proc/self",
    ]


def test_a_link_in_the_place_of_a_node_is_not_followed(make_fs: MakeFilesystem) -> None:
    fs = make_fs(
        files=("/dev/sda", "/dev/kfd"), links={"/dev/dxg": "/dev/sda", "/dev/nvidia0": "/etc/shadow"}
    )
    assert [grant.path for grant in gpu_grants(None, fs).grants] == ["/dev/kfd"]


@pytest.mark.parametrize("nodes", [(), ("/dev/dri/card0",), ("/dev/nvidia-modeset",)])
def test_without_a_gpu_the_run_is_refused_with_what_was_looked_for(
    nodes: tuple[str, ...], make_fs: MakeFilesystem
) -> None:
    with pytest.raises(SandboxError, match="--allow-gpu: no GPU devices found") as refused:
        gpu_grants(None, make_fs(files=nodes, directories=LIBRARIES))
    assert refused.value.hint is not None
    for name in ("/dev/dri/renderD*", "/dev/nvidiactl", "/dev/nvidia*", "/dev/kfd", "/dev/dxg"):
        assert name in refused.value.hint


def test_a_profile_that_was_named_must_allow_it(make_fs: MakeFilesystem) -> None:
    fs = make_fs(files=("/dev/dxg",))
    named = Profile(meta=Meta(name="web"))
    with pytest.raises(ConfigError, match="profile web does not set allow_gpu"):
        gpu_grants(named, fs)
    assert gpu_grants(named._replace(allow_gpu=True), fs) == gpu_grants(None, fs)


def test_only_the_flag_grants_gpus(make_fs: MakeFilesystem, run: Callable[..., Resolved]) -> None:
    fs = make_fs(files=("/dev/dxg",))

    def granted(profile: Profile | None, *, allow_gpu: bool) -> bool:
        resolved = run(profile, fs=fs, allow_gpu=allow_gpu)
        return any(grant.path == "/dev/dxg" for grant in resolved.capabilities.grants)

    assert granted(None, allow_gpu=True)
    assert granted(Profile(allow_gpu=True), allow_gpu=True)
    assert not granted(Profile(allow_gpu=True), allow_gpu=False)
