"""Represent a trapped open: its registers, and the bytes read once from its caller."""

from __future__ import annotations

from nono.kernel.uapi import open as uapi
from nono.named_tuple import NamedTuple
from nono.policy.capability import Access
from nono.supervisor.verdict.syscall_args import signed, unsigned

OPEN_HOW_BYTES_MAX = 4096  # openat2(2): a page; longer is E2BIG


class OpenCall(NamedTuple):
    """One open, with the flags as the caller gave them."""

    directory: int  # a descriptor of the caller's, or AT_FDCWD
    path: bytes  # as the caller spelled it, without its NUL; never empty
    flags: int
    resolve: int = 0  # RESOLVE_* of openat2(2)

    @property
    def access(self) -> Access:
        """Return the access that the kernel would have to allow.

        Access mode 3 is for ioctl(2) only and requires both.
        """
        match self.flags & uapi.O_ACCMODE:
            case uapi.O_RDONLY:
                return Access.READWRITE if self.truncates else Access.READ
            case uapi.O_WRONLY:
                return Access.WRITE
        return Access.READWRITE

    @property
    def closes_on_exec(self) -> bool:
        return bool(self.flags & uapi.O_CLOEXEC)

    @property
    def truncates(self) -> bool:
        return bool(self.flags & uapi.O_TRUNC)

    def base(self, tid: int) -> str:
        """Return where a relative path starts, as proc(5) names it for the calling thread."""
        start = "cwd" if self.directory == uapi.AT_FDCWD else f"fd/{self.directory}"
        return f"/proc/{tid}/{start}"

    @property
    def is_absolute(self) -> bool:
        return self.path.startswith(b"/")


class Registers(NamedTuple):
    """The registers of a trapped open, with addresses of the rest in its caller's memory."""

    directory: int
    path: int
    flags: int
    how: int | None = None  # the address of openat2's struct open_how
    how_bytes: int = 0


def registers(name: str, args: tuple[int, ...]) -> Registers:
    """Name the registers of open, creat, openat or openat2. Raises ValueError for another call."""
    match name:
        case "open":
            return Registers(uapi.AT_FDCWD, args[0], unsigned(args[1]))
        case "creat":
            return Registers(uapi.AT_FDCWD, args[0], uapi.O_CREAT | uapi.O_WRONLY | uapi.O_TRUNC)
        case "openat":
            return Registers(signed(args[0]), args[1], unsigned(args[2]))
        case "openat2":
            return Registers(signed(args[0]), args[1], 0, how=args[2], how_bytes=args[3])
    raise ValueError(f"{name} opens nothing")


class OpenHow(NamedTuple):
    """struct open_how of openat2(2)."""

    flags: int
    mode: int
    resolve: int


def parse_open_how(raw: bytes) -> OpenHow:
    """Parse struct open_how.

    Raises ValueError where its size or its tail alone make the kernel answer EINVAL or E2BIG.
    """
    if not uapi.OPEN_HOW_SIZE_VER0 <= len(raw) <= OPEN_HOW_BYTES_MAX:
        raise ValueError(f"an open_how of {len(raw)} bytes")
    if any(raw[uapi.OPEN_HOW_SIZE_VER0 :]):
        raise ValueError("an open_how of a later kernel")
    return OpenHow(*uapi.OPEN_HOW.unpack_from(raw))
