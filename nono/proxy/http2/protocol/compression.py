"""Compress and read field blocks by HPACK (RFC 7541), with the tables of the `hpack` library.

The library's own Encoder and Decoder make an object and a log line of each integer and each field; they took
a fifth of the time of a request.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from hpack.exceptions import HPACKError
from hpack.huffman_table import decode_huffman
from hpack.table import HeaderTable

from nono.proxy.http.message import Header
from nono.proxy.http2.protocol.frames import ErrorCode, FrameError

TABLE_BYTES = 4096  # the default of SETTINGS_HEADER_TABLE_SIZE, which we neither raise nor lower

_STATIC: tuple[Header, ...] = HeaderTable.STATIC_TABLE  # appendix A
_STATIC_SIZE = len(_STATIC)
_ENTRY_BYTES = 32  # section 4.1: counted for each entry beside its name and value
_MAX_UPDATES = 2  # section 4.2: of the table's size, at the beginning of a block
_MAX_SHIFT = 28  # of an integer: five octets, as many as one of 32 bits can have
_REMEMBERED = 64  # Huffman-coded strings of one connection, such as the name of its server
_REMEMBERED_BYTES = 128

_INDEX_OF_FIELD = {field: index for index, field in reversed([*enumerate(_STATIC, 1)])}
_INDEX_OF_NAME = {field[0]: index for index, field in reversed([*enumerate(_STATIC, 1)])}


class SecretField(tuple[bytes, bytes]):
    """A field that no compression table may hold, here or at any later hop (sections 6.2.3 and 7.1.3)."""

    __slots__ = ()


class Encoder:
    """Compresses the field blocks of one direction.

    Strings are not Huffman-coded: coding takes longer than sending the octets it saves, and the length of a
    secret's code depends on its letters.
    """

    __slots__ = ("_changes", "_entries", "_fields", "_limit", "_names", "_number", "_size")

    def __init__(self) -> None:
        self._limit = TABLE_BYTES
        self._changes = list[int]()  # of the limit, which the next block begins with
        self._entries = deque[tuple[Header, int]]()  # the oldest first, with its size
        self._number = 0  # of entries so far
        self._fields = dict[Header, int]()  # the number of the last entry with that field
        self._names = dict[bytes, int]()  # the same for its name
        self._size = 0

    @property
    def table_bytes(self) -> int:
        """The limit of the peer's table."""
        return self._limit

    def allow(self, table_bytes: int) -> None:
        """Note how large a table the peer allows; no more than TABLE_BYTES of it is used."""
        limit = min(table_bytes, TABLE_BYTES)
        if limit != self._limit:
            # Section 4.2: the smallest limit since the last block is announced, then the current one.
            least = min([*self._changes, limit])
            self._changes = [limit] if least == limit else [least, limit]
            self._limit = limit
            self._evict()

    def encode(self, fields: Iterable[Header]) -> bytes:
        """Return the block. Names are in lower case."""
        pieces = [_integer(0x20, 5, change) for change in self._changes]
        self._changes = []
        for field in fields:
            name, value = field
            if isinstance(field, SecretField):
                pieces.append(self._literal(0x10, 4, name, value))
                continue
            index = _INDEX_OF_FIELD.get(field)
            if index is None and (number := self._fields.get(field)) is not None:
                index = _STATIC_SIZE + self._number - number
            if index is not None:
                pieces.append(_integer(0x80, 7, index))
            else:
                pieces.append(self._literal(0x40, 6, name, value))
                self._add(field)
        return b"".join(pieces)

    def _literal(self, pattern: int, bits: int, name: bytes, value: bytes) -> bytes:
        index = _INDEX_OF_NAME.get(name)
        if index is None and (number := self._names.get(name)) is not None:
            index = _STATIC_SIZE + self._number - number
        spelled = _integer(0, 7, len(value)) + value
        if index is not None:
            return _integer(pattern, bits, index) + spelled
        return b"%c%b%b%b" % (pattern, _integer(0, 7, len(name)), name, spelled)

    def _add(self, field: Header) -> None:
        size = len(field[0]) + len(field[1]) + _ENTRY_BYTES
        self._entries.append((field, size))
        self._fields[field] = self._names[field[0]] = self._number
        self._number += 1
        self._size += size
        self._evict()

    def _evict(self) -> None:
        while self._size > self._limit:
            oldest = self._number - len(self._entries)
            field, size = self._entries.popleft()
            self._size -= size
            if self._fields[field] == oldest:
                del self._fields[field]
            if self._names[field[0]] == oldest:
                del self._names[field[0]]


class Decoder:
    """Reads the field blocks of one direction.

    max_list_bytes: The most that the fields of one block may take, counted as in section 4.1.
    """

    __slots__ = ("_entries", "_limit", "_max_list_bytes", "_remembered", "_size")

    def __init__(self, max_list_bytes: int) -> None:
        self._max_list_bytes = max_list_bytes
        self._limit = TABLE_BYTES
        self._entries = deque[Header]()  # the newest first
        self._size = 0
        self._remembered = dict[bytes, bytes]()

    def decode(self, block: bytes) -> list[Header]:
        """Return the fields. Raises FrameError if the block is malformed or its fields are too large."""
        try:
            return self._decoded(block)
        except (IndexError, HPACKError):
            raise _malformed() from None

    def _decoded(self, block: bytes) -> list[Header]:
        """Raises IndexError if the block ends too early."""
        fields = list[Header]()
        position, end, room = 0, len(block), self._max_list_bytes
        updates = 0
        while position < end:
            first = block[position]
            if first & 0x80:
                index, position = _read_integer(block, position, 0x7F)
                field = self._entry(index)
            elif first & 0xE0 == 0x20:
                updates += 1
                if fields or updates > _MAX_UPDATES:
                    raise _malformed()
                limit, position = _read_integer(block, position, 0x1F)
                self._resize(limit)
                continue
            else:
                is_added = first & 0x40
                index, position = _read_integer(block, position, 0x3F if is_added else 0x0F)
                if index:
                    name = self._entry(index)[0]
                else:
                    name, position = self._string(block, position)
                value, position = self._string(block, position)
                field = (name, value)
                if is_added:
                    self._add(field)
                elif first & 0x10:
                    field = SecretField(field)
            room -= len(field[0]) + len(field[1]) + _ENTRY_BYTES
            if room < 0:
                raise FrameError("the fields of a header block are too large")
            fields.append(field)
        return fields

    def _entry(self, index: int) -> Header:
        if index > _STATIC_SIZE:
            return self._entries[index - _STATIC_SIZE - 1]
        if not index:
            raise _malformed()
        return _STATIC[index - 1]

    def _string(self, block: bytes, position: int) -> tuple[bytes, int]:
        is_huffman = block[position] & 0x80
        length, position = _read_integer(block, position, 0x7F)
        end = position + length
        if end > len(block):
            raise _malformed()
        coded = block[position:end]
        return (self._plain(coded) if is_huffman else coded), end

    def _plain(self, coded: bytes) -> bytes:
        plain = self._remembered.get(coded)
        if plain is None:
            plain = decode_huffman(coded)
            if len(coded) <= _REMEMBERED_BYTES:
                if len(self._remembered) >= _REMEMBERED:
                    self._remembered.clear()
                self._remembered[coded] = plain
        return plain

    def _add(self, field: Header) -> None:
        self._entries.appendleft(field)
        self._size += len(field[0]) + len(field[1]) + _ENTRY_BYTES
        self._evict()

    def _resize(self, limit: int) -> None:
        if limit > TABLE_BYTES:
            raise _malformed()
        self._limit = limit
        self._evict()

    def _evict(self) -> None:
        while self._size > self._limit:
            name, value = self._entries.pop()
            self._size -= len(name) + len(value) + _ENTRY_BYTES


def _integer(pattern: int, bits: int, value: int) -> bytes:
    """Encode an integer after the pattern in its first octet (section 5.1)."""
    most = (1 << bits) - 1
    if value < most:
        return b"%c" % (pattern | value)
    octets = bytearray((pattern | most,))
    value -= most
    while value >= 0x80:
        octets.append(value & 0x7F | 0x80)
        value >>= 7
    octets.append(value)
    return bytes(octets)


def _read_integer(block: bytes, position: int, most: int) -> tuple[int, int]:
    """Return an integer and the position after it. Raises IndexError if the block ends within it."""
    value = block[position] & most
    position += 1
    if value < most:
        return value, position
    shift = 0
    while True:
        octet = block[position]
        position += 1
        value += (octet & 0x7F) << shift
        if octet < 0x80:
            return value, position
        shift += 7
        if shift > _MAX_SHIFT:
            raise _malformed()


def _malformed() -> FrameError:
    return FrameError("a header block is malformed", ErrorCode.COMPRESSION_ERROR)
