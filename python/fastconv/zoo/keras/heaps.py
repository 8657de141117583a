"""Texts of variable length in HDF5 files lie in heaps, and the HDF5 library trusts what it finds
there: an entry of no length keeps it walking for ever, and it allocates what a reference says.

Format: https://docs.hdfgroup.org/hdf5/develop/_f_m_t3.html, superblock and global heap.
"""

from __future__ import annotations

from mmap import mmap

from ..archive import FormatError

__all__ = ["check_heaps"]

_SIGNATURE, _VERSION = b"GCOL", 1
_HEAD = 16  # of a heap, and of an entry: their lengths are the last 8 bytes


def check_heaps(content: bytes | mmap) -> None:
    """Raise FormatError unless every walk through a heap comes to its end, and no reference into
    one is to more than the file holds."""
    # Where the superblock says how long addresses and lengths are depends on its version.
    at = 13 if content[8] < 2 else 9
    if content[at] != 8 or content[at + 1] != 8:
        raise FormatError(
            "keras: addresses and lengths in HDF5 files must have 8 bytes "
            f"(addresses={content[at]}, lengths={content[at + 1]})"
        )
    heap = content.find(_SIGNATURE)
    while heap >= 0:
        # Elsewhere the four letters are a part of some array.
        if heap % 8 == 0 and content[heap + 4 : heap + 5] == bytes([_VERSION]):
            _check_references(content, heap, _entries(content, heap))
        heap = content.find(_SIGNATURE, heap + 1)


def _entries(content: bytes | mmap, heap: int) -> set[int]:
    """Return the numbers of a heap's entries."""
    found = set()
    end = min(heap + _number(content, heap + 8, 8), len(content))
    at = heap + _HEAD
    while at + _HEAD <= end:
        length = _number(content, at + 8, 8)
        entry = _number(content, at, 2)
        # That of free space is 0, and its length counts its head.
        step = length if entry == 0 else _HEAD + -(-length // 8) * 8
        if step == 0:
            raise FormatError(f"keras: an entry of an HDF5 heap must have a length (at={at})")
        found.add(entry)
        at += step
    return found - {0}


def _check_references(content: bytes | mmap, heap: int, entries: set[int]) -> None:
    """A reference is a length (4 bytes), the heap's address (8) and the number of the entry (4).

    They lie on multiples of 8, where no other field has an address 4 bytes further on.
    """
    address = heap.to_bytes(8, "little")
    at = content.find(address, 4)
    while at >= 0:
        length = _number(content, at - 4, 4)
        aligned = at % 8 == 4
        if aligned and length > len(content) and _number(content, at + 8, 4) in entries:
            raise FormatError(
                "keras: a text must lie in the file "
                f"(at={at - 4}, bytes={length}, file={len(content)})"
            )
        at = content.find(address, at + 1)


def _number(content: bytes | mmap, at: int, size: int) -> int:
    return int.from_bytes(content[at : at + size], "little")
