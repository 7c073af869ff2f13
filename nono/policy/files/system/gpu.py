"""Grant what --allow-gpu needs: device nodes of the GPUs present, and the files their libraries read."""

from __future__ import annotations

from collections.abc import Iterator
from posixpath import join

from nono.errors import ConfigError, SandboxError
from nono.named_tuple import NamedTuple
from nono.policy.capability import Access, Grant
from nono.policy.path_expansion import Filesystem
from nono.policy.schema.profile import Profile

# Not /dev/dri/card* or nvidia-modeset: computing does not need them, and both can set display modes.
DEVICES = (
    "/dev/nvidiactl",
    "/dev/nvidia-uvm",
    "/dev/nvidia-uvm-tools",
    "/dev/kfd",  # AMD's compute interface
    "/dev/dxg",  # WSL2's device for the GPU of Windows
)
NUMBERED = (("/dev/dri", "renderD"), ("/dev", "nvidia"))  # directory, prefix before the number
NVIDIA_CAPABILITIES = "/dev/nvidia-caps"  # one node per capability and MIG partition
LIBRARIES = ("/usr/lib/wsl/lib", "/usr/share/vulkan", "/etc/vulkan", "/sys/class/drm")
# /proc/self covers /proc/self/task. From version 570 on the driver names its threads by writing there; the
# supervisor opens those files (nono.supervisor.opens.thread_names).
OF_NVIDIA = ("/proc/driver/nvidia", "/proc/driver/nvidia-uvm", "/proc/self")


class GpuGrants(NamedTuple):
    """The grants for the GPUs of this host."""

    grants: tuple[Grant, ...]
    names_threads: bool  # an NVIDIA driver has to name its threads


def gpu_grants(profile: Profile | None, fs: Filesystem) -> GpuGrants:
    """Return the grants of --allow-gpu on this host. `profile` is the named profile, if any.

    Raises ConfigError if the profile does not set allow_gpu, SandboxError if there is no GPU.
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
    """Return True if `path` is a device node. A link to one, such as a disk, would grant its target."""
    return fs.kind(path) == "device" and fs.canonical(path) == path


def _named(path: str, fs: Filesystem) -> str:
    """Return the path as grants name it: /proc/self stays, because it refers to the opening process."""
    return path if path == "/proc/self" else fs.canonical(path) or path
