"""What --allow-gpu grants: the device nodes of the GPUs that are here, and what their libraries read."""

from __future__ import annotations

from collections.abc import Iterator
from posixpath import join

from nono.errors import ConfigError, SandboxError
from nono.named_tuple import NamedTuple
from nono.policy.capability import Access, Grant
from nono.policy.path_expansion import Filesystem
from nono.policy.schema.profile import Profile

# Neither /dev/dri/card* nor nvidia-modeset: computing does without, and both set the mode of a display.
DEVICES = (
    "/dev/nvidiactl",
    "/dev/nvidia-uvm",
    "/dev/nvidia-uvm-tools",
    "/dev/kfd",  # AMD's compute interface
    "/dev/dxg",  # WSL2's way to the GPU of Windows
)
NUMBERED = (("/dev/dri", "renderD"), ("/dev", "nvidia"))  # a directory, and what stands before the number
NVIDIA_CAPABILITIES = "/dev/nvidia-caps"  # one node for each capability, and for each partition of a MIG
LIBRARIES = ("/usr/lib/wsl/lib", "/usr/share/vulkan", "/etc/vulkan", "/sys/class/drm")
# What /proc/self/task would add is granted with /proc/self. The driver names its threads there from version
# 570 on, by writing: those names are opened by the supervisor (nono.supervisor.opens.thread_names).
OF_NVIDIA = ("/proc/driver/nvidia", "/proc/driver/nvidia-uvm", "/proc/self")


class GpuGrants(NamedTuple):
    """What is granted."""

    grants: tuple[Grant, ...]
    names_threads: bool  # whether a driver of NVIDIA has to name its threads


def gpu_grants(profile: Profile | None, fs: Filesystem) -> GpuGrants:
    """The grants of --allow-gpu on this host; profile is the one that was named, if one was.

    ConfigError: the profile does not say allow_gpu. SandboxError: there is no GPU here.
    """
    if profile is not None and not profile.allow_gpu:
        raise ConfigError(
            f"--allow-gpu: {profile.label} does not set allow_gpu.", hint='"allow_gpu": true in the profile'
        )
    devices = [path for path in _candidates(fs) if _is_device_itself(path, fs)]
    if not devices:
        looked_for = ", ".join(
            (*DEVICES, *(f"{directory}/{name}*" for directory, name in NUMBERED), f"{NVIDIA_CAPABILITIES}/*")
        )
        raise SandboxError("--allow-gpu: no GPU devices found.", hint=f"looked for {looked_for}")
    is_nvidia = any(path.startswith("/dev/nvidia") for path in devices)
    directories = [path for path in (*LIBRARIES, *(OF_NVIDIA if is_nvidia else ())) if fs.kind(path) == "dir"]
    return GpuGrants(
        grants=(
            *(Grant(path, Access.READWRITE, False, "user", path) for path in devices),
            *(Grant(_named(path, fs), Access.READ, True, "user", path) for path in directories),
        ),
        names_threads=is_nvidia,
    )


def _candidates(fs: Filesystem) -> Iterator[str]:
    yield from DEVICES
    for directory, before in NUMBERED:
        for name in fs.names(directory):
            number = name.removeprefix(before)
            if number != name and number.isascii() and number.isdecimal():
                yield join(directory, name)
    for name in fs.names(NVIDIA_CAPABILITIES):
        yield join(NVIDIA_CAPABILITIES, name)


def _is_device_itself(path: str, fs: Filesystem) -> bool:
    """Whether path is a device node. A link to one, such as to a disk, would grant what it leads to."""
    return fs.kind(path) == "device" and fs.canonical(path) == path


def _named(path: str, fs: Filesystem) -> str:
    """As requested grants are: /proc/self names the process that opens it, and stays as it is."""
    return path if path == "/proc/self" else fs.canonical(path) or path
