"""Tables: files of sorted keys and values, in which TensorFlow keeps checkpoints.

The format is LevelDB's (https://github.com/google/leveldb/blob/main/doc/table_format.md): blocks of
entries whose keys leave out what they share with the key before, each block followed by a byte for
its compression and a checksum; a block that says where the others are; a footer.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from ..archive import FormatError
from ..proto.wire import varint
from .crc32c import crc32c, masked

__all__ = ["entries", "has_footer"]

_MAGIC = (0xDB4775248B80FB57).to_bytes(8, "little")
_FOOTER = 48
_TRAILER = 5  # compression, checksum


class _Handle(NamedTuple):
    offset: int
    size: int


def has_footer(tail: bytes) -> bool:
    """Whether the end of a file is a table's."""
    return len(tail) >= _FOOTER and tail.endswith(_MAGIC)


def entries(table: memoryview, what: str) -> Iterator[tuple[bytes, memoryview]]:
    """Yield the keys and values of a table, in its order; checksums are checked.

    Raises FormatError, which calls the file `what`, if it is damaged.
    """
    footer = bytes(table[-_FOOTER:])
    if not has_footer(footer):
        raise FormatError(f"{what}: the file must end like a table (ends={footer[-8:]!r})")
    try:
        _, _, position = _handle(memoryview(footer), 0)  # of what describes the table
        offset, size, _ = _handle(memoryview(footer), position)
        # Keys of the index only separate blocks; the blocks themselves are in order.
        for _, value in _block(table, _Handle(offset, size), what):
            offset, size, _ = _handle(value, 0)
            yield from _block(table, _Handle(offset, size), what)
    except FormatError:
        raise
    except (IndexError, OverflowError, ValueError) as error:
        raise FormatError(f"{what}: the table must be whole (reason={error})") from error


def _block(table: memoryview, handle: _Handle, what: str) -> Iterator[tuple[bytes, memoryview]]:
    content = _checked(table, handle, what)
    # At the end, where keys are written in full: positions, and how many there are.
    restarts = int.from_bytes(content[-4:], "little") if len(content) >= 4 else 0
    end = len(content) - 4 * (restarts + 1)
    if restarts < 1 or end < 0:
        raise FormatError(
            f"{what}: a block must end with its restarts (size={len(content)}, restarts={restarts})"
        )
    key, position = b"", 0
    while position < end:
        shared, position = varint(content, position)
        unshared, position = varint(content, position)
        size, position = varint(content, position)
        value = position + unshared
        if shared > len(key) or value + size > end:
            raise FormatError(
                f"{what}: an entry must lie in its block and share what the key before has "
                f"(shared={shared}, unshared={unshared}, size={size}, end={end})"
            )
        key = key[:shared] + bytes(content[position:value])
        position = value + size
        yield key, content[value:position]


def _checked(table: memoryview, handle: _Handle, what: str) -> memoryview:
    """Return a block without its trailer, whose checksum fits."""
    end = handle.offset + handle.size
    if end + _TRAILER > len(table) - _FOOTER:
        raise FormatError(
            f"{what}: a block must lie inside the file (offset={handle.offset}, "
            f"size={handle.size}, file={len(table)})"
        )
    stored = int.from_bytes(table[end + 1 : end + _TRAILER], "little")
    found = masked(crc32c(table[handle.offset : end + 1]))
    if found != stored:
        raise FormatError(
            f"{what}: the checksum of a block must fit (offset={handle.offset}, "
            f"stored={stored:#x}, found={found:#x})"
        )
    if table[end]:
        raise FormatError(
            f"{what}: blocks must not be compressed, as TensorFlow writes them "
            f"(compression={table[end]})"
        )
    return table[handle.offset : end]


def _handle(data: memoryview, position: int) -> tuple[int, int, int]:
    """Return the offset and the size of a block, and where they end in `data`."""
    offset, position = varint(data, position)
    size, position = varint(data, position)
    return offset, size, position
