"""Take over a terminal that a command has used, ask a question, and give it back."""

from __future__ import annotations

import fcntl
import os
import signal
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from posixpath import dirname, join
from struct import Struct

from nono import paths
from nono.errors import NonoError
from nono.printable import shell_word
from nono.private_dir import open_private_dir
from nono.typed import line as typed_line

NOTIFIED_MAX = 120  # characters
SHOWN_S = 0.4  # delay before a key counts as an answer to the new text
CTRL_C, CTRL_Q, CTRL_S = b"\x03", b"\x11", b"\x13"
_EXTPROC = 0o200000  # <asm-generic/termbits.h>: lines are read as typed, and Enter ends none
_CHANGED_INPUT = termios.ISTRIP | termios.IUCLC | termios.PARMRK  # modes in which other octets arrive

# Undoes the states that a command may leave a terminal in. Terminals ignore sequences they do not know. What
# DECSTR resets is also reset one by one, because not every terminal supports DECSTR.
_RECOVER = (
    b"\x18\x1b\\"  # inside an unfinished escape sequence or string (CAN, ST)
    b"\x1b<\x1b%G"  # VT52 mode, an encoding other than UTF-8
    b"\x0f\x1b(B"  # an alternate character set (SI, G0)
    b"\x1b[!p"  # attributes, margins, modes (DECSTR)
    b"\x1b[?5l"  # reverse video
    b"\x1b[?6l\x1b[?7h\x1b[?69l\x1b[r\x1b[4l"  # displaced text: origin, wrapping, margins, insertion
    b"\x1b[?2004l\x1b[?2026l"  # bracketed paste, held-back output
    b"\x1b[2l\x1b[=0u\x1b[>4m"  # a locked keyboard, keys as sequences (kitty's protocol, modifyOtherKeys)
    b"\x1b[?9l\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1004l"  # mouse and focus, told as if typed
    b"\x1b]8;;\x1b\\"  # a link
    b"\x1b]104\x1b\\\x1b]105\x1b\\"  # colours of the palette, and of attributes
    b"\x1b]110\x1b\\\x1b]111\x1b\\\x1b]112\x1b\\"  # default colours, the cursor's
)
_NO_IMAGES = b"\x1b_Ga=d\x1b\\"  # kitty's graphics protocol: images may cover the text
# Moves to the last line, which scrolls, so that no output of the command stands below the question. Then sets
# white on black, because default colours may be equal where OSC 110 is not supported: first as palette
# entries, then as exact colours.
_AT_THE_END = b"\x1b[999;1H\x1b[0;97;40m\x1b[38:2::255:255:255m\x1b[48:2::0:0:0m\n"
PLAIN = b"\x1b[0m"  # the terminal's own colours


def recover_sequence() -> bytes:
    """Return the bytes that make text readable, in fixed colours until PLAIN."""
    # tmux and screen take an application command as a title, and only pass on images when configured to.
    is_multiplexer = os.environ.get("TERM", "").startswith(("tmux", "screen"))
    return _RECOVER + (b"" if is_multiplexer else _NO_IMAGES) + _AT_THE_END


def needs_you(in_short: str) -> bytes:
    """Return the bytes that notify a person who is looking elsewhere (OSC 9). in_short: Without controls."""
    text = f"nono needs you: {in_short}"[:NOTIFIED_MAX]
    # The Linux console prints OSC 9 before 5.8; other terminals that do not know it ignore it.
    is_console = os.environ.get("TERM", "").startswith("linux")
    return b"" if is_console else b"\x1b]9;" + text.encode("utf-8", "replace") + b"\x1b\\"


NO_KEY = b"\0"  # _POSIX_VDISABLE


_OPEN = os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC


@contextmanager
def controlling_terminal(*, is_pristine: bool = False) -> Iterator[int | None]:
    """Open the controlling terminal, non-blocking; closed with the block. None if the process has none.

    is_pristine: No command runs yet. A supervisor's own controlling terminal belongs to the command, so this
      opens the person's terminal, which is on standard input.
    """
    try:
        if not is_pristine or typed_line.is_own() or not os.isatty(0):
            terminal = os.open("/dev/tty", _OPEN)
        else:
            try:
                terminal = os.open("/proc/self/fd/0", _OPEN)
            except OSError:  # another user opened it, as before su(1); reads then wait for a line
                terminal = os.dup(0)
    except OSError:
        yield None
        return
    try:
        yield terminal
    finally:
        os.close(terminal)


@contextmanager
def foreground(terminal: int) -> Iterator[bool]:
    """Take the terminal's foreground from a job of the command. Yields whether nono has it.

    The command may have made itself a process group and put it in the foreground, as shells do. A group that
    does not descend from us, such as the shell that started us in the background, keeps it.
    """
    try:
        ours, front = os.getpgrp(), os.tcgetpgrp(terminal)
    except OSError:  # a supervisor that asks at the terminal of the process that forked it
        yield typed_line.in_front()
        return
    if front == ours:
        yield True
        return
    if not _is_below_us(front):
        yield False
        return
    # From the background this signal would stop us.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTOU})
    try:
        os.tcsetpgrp(terminal, ours)
        yield True
    finally:
        with suppress(OSError):  # the group is empty
            os.tcsetpgrp(terminal, front)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


TURN_PAUSE_S = 0.02  # between two looks at whose turn it is
_TIOCGDEV = 0x80045432  # <asm-generic/ioctls.h>: the device that /dev/tty stands for, too
_DEVICE = Struct("I")
_LOCK = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC


class NoTurnsError(PermissionError):
    """A mode keeps nono from the lock of a terminal; strerror says what to do."""


class Turn:
    """The turn to ask at a terminal; see own_turn()."""

    def __init__(self, file: int | None, closed: NoTurnsError | None) -> None:
        self._file = file
        self._closed = closed

    def take(self) -> bool:
        """Return True if no other question is open at the terminal, from now on until the block ends.

        Raises NoTurnsError if the locks are this user's to keep, and a mode is in the way.
        """
        if self._closed is not None:
            raise self._closed
        if self._file is not None:
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
        return True

    def wait(self, patience_s: float) -> bool:
        """Wait for the turn. Returns False if it did not come. Raises NoTurnsError, as take() does."""
        deadline = time.monotonic() + patience_s
        while not self.take():
            if time.monotonic() >= deadline:
                return False
            time.sleep(TURN_PAUSE_S)
        return True


@contextmanager
def own_turn() -> Iterator[Turn]:
    """Yield the turn at the terminal of the standard streams, which all runs there share, as in a pipeline.

    Of two questions at once the kernel would give a typed yes to either. Where nono can keep no state, as
    below a read-only home or for a nono inside, there are no turns.
    """
    file = closed = None
    device = _device()
    if device is not None:
        try:
            file = _open_lock(join(paths.state_root(os.environ), "asking"), str(device))
        except NoTurnsError as error:
            closed = error
        except NonoError:  # no place for state is named
            pass
    try:
        yield Turn(file, closed)
    finally:
        if file is not None:
            fcntl.flock(file, fcntl.LOCK_UN)  # a process that was forked meanwhile may hold the file
            os.close(file)


def _device() -> int | None:
    """Return the number of the terminal of the standard streams; None without one."""
    for stream in (2, 0, 1):
        with suppress(OSError):
            number: int = _DEVICE.unpack(fcntl.ioctl(stream, _TIOCGDEV, bytes(_DEVICE.size)))[0]
            return number
    return None


def _open_lock(folder: str, name: str) -> int | None:
    """Open the file name in folder. A command can lock the terminal itself, until somebody closes that."""
    try:
        directory = open_private_dir(folder, create=True)
        try:
            return os.open(name, _LOCK, 0o600, dir_fd=directory)
        finally:
            os.close(directory)
    except PermissionError as error:
        # Without namespaces a command can change modes, and without turns have its own question answered.
        if _is_ours(folder) and not paths.is_inside(os.environ):
            reason = f"nothing is asked at terminals while {folder} cannot be used ({error.strerror})"
            raise NoTurnsError(error.errno, f"{reason}: chmod -R u=rwX,go= {shell_word(folder)}") from error
        return None
    except OSError:
        return None


def _is_ours(path: str) -> bool:
    """Check that the path, or the nearest directory above it that can be seen, belongs to this user."""
    while True:
        with suppress(OSError):
            return os.lstat(path).st_uid == os.geteuid()
        if path == (path := dirname(path)):
            return False


def _is_below_us(group: int) -> bool:
    """Check that a process group's leader descends from us: the group's number is its leader's pid."""
    pid = group
    while pid > 0:  # nono may be process 1, as in a container
        if pid == os.getpid():
            return True
        try:
            with open(f"/proc/{pid}/stat", "rb") as stat:
                pid = int(stat.read().rpartition(b")")[2].split()[1])
        except OSError:
            return False
    return False


@contextmanager
def line_mode(terminal: int, *, has_signals: bool = False, ends_read: bytes = NO_KEY) -> Iterator[None]:
    """Set the terminal to echoed lines within the block.

    has_signals: The terminal is as the user set it, and ^C interrupts. TOSTOP then stays on: it keeps a
      background job from writing over the question. Otherwise a command may have set anything: TOSTOP, which
      would stop nono itself, is cleared, as is all that keeps what is typed from arriving, and ^C ends the
      line, as a no.
    ends_read: A key at which a read returns, before the end of the line.
    """
    before = termios.tcgetattr(terminal)
    attributes = termios.tcgetattr(terminal)
    iflag, oflag, _, lflag, _, _, characters = range(7)
    attributes[iflag] = (attributes[iflag] | termios.ICRNL) & ~(termios.IGNCR | termios.INLCR)
    attributes[oflag] |= termios.OPOST | termios.ONLCR
    attributes[lflag] |= termios.ICANON | termios.ECHO | termios.ECHOE | termios.ECHOK
    attributes[lflag] &= ~termios.ECHONL
    keys = list(attributes[characters])
    if not has_signals:
        attributes[iflag] &= ~_CHANGED_INPUT
        attributes[lflag] &= ~(termios.ISIG | termios.TOSTOP | _EXTPROC)
        keys[termios.VSTART], keys[termios.VSTOP] = CTRL_Q, CTRL_S  # Enter or "y" may have been made these
    keys[termios.VEOF], keys[termios.VEOL], keys[termios.VERASE] = b"\x04", CTRL_C, b"\x7f"
    # A terminal's reports, requested by the command, arrive as keys: none of them may edit the line.
    for editing in (termios.VKILL, termios.VWERASE, termios.VREPRINT, termios.VLNEXT):
        keys[editing] = NO_KEY
    keys[termios.VEOL2] = ends_read
    if ends_read != NO_KEY:
        attributes[lflag] |= termios.IEXTEN  # otherwise VEOL2 is ignored
    attributes[characters] = keys
    # TCSANOW: the other modes wait until all output is shown, which a held terminal (^S) can delay forever.
    termios.tcsetattr(terminal, termios.TCSANOW, attributes)
    try:
        yield
    finally:
        with suppress(OSError, termios.error):
            termios.tcflush(terminal, termios.TCIFLUSH)  # keys typed for the question are not the command's
            termios.tcsetattr(terminal, termios.TCSANOW, before)


def read_single_keys(terminal: int, *, is_single: bool) -> None:
    """Let each key, or again each whole line, be read at once. Call within line_mode."""
    attributes = termios.tcgetattr(terminal)
    lflag, characters = 3, attributes[6]
    if is_single:
        attributes[lflag] &= ~termios.ICANON
        characters[termios.VMIN], characters[termios.VTIME] = 1, 0
    else:
        attributes[lflag] |= termios.ICANON
    termios.tcsetattr(terminal, termios.TCSANOW, attributes)
