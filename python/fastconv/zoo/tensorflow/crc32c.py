"""CRC-32C (Castagnoli; RFC 3720, appendix B.4) of large arrays, computed with NumPy.

The checksum is linear, so a message is folded in half again and again: the first half, moved on by
the length of the second, is added to it. Only the fixed number of words by which it moves needs
tables, one set a power of two.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

__all__ = ["crc32c", "masked"]

_POLYNOMIAL = 0x82F63B78  # of CRC-32C, bits reflected
_ONES = 0xFFFFFFFF
_CHUNK = 1 << 16  # words folded at a time, so that they stay in a cache

_Words = NDArray[np.uint32]


def crc32c(*parts: bytes | memoryview | NDArray[np.uint8]) -> int:
    """Return the checksum of the parts, one after the other."""
    state = _ONES
    for part in parts:
        state = _update(state, np.frombuffer(part, np.uint8))
    return state ^ _ONES


def masked(crc: int) -> int:
    """Return a checksum as TensorFlow and LevelDB store it: turned by 15 bits, plus a constant."""
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & _ONES


def _update(state: int, data: NDArray[np.uint8]) -> int:
    """Return the register after more bytes."""
    head = len(data) % 4
    table = _bytes_table()
    for byte in data[:head].tolist():
        state = state >> 8 ^ table[(state ^ byte) & 0xFF]
    words = data[head:].view("<u4")
    for start in range(0, len(words), _CHUNK):
        chunk = words[start : start + _CHUNK].astype(np.uint32)  # a copy, to fold in
        chunk[0] ^= state
        state = _moved_by_word(_fold(chunk))
    return state


def _fold(words: _Words) -> int:
    while len(words) > 1:
        power = (len(words) - 1).bit_length() - 1
        rest = len(words) - (1 << power)
        words[-rest:] ^= _moved(words[:rest], power)
        words = words[rest:]
    return int(words[0])


def _moved_by_word(word: int) -> int:
    return int(_moved(np.array([word], np.uint32), 0)[0])


def _moved(words: _Words, power: int) -> _Words:
    """Return words moved on by 2 ** power words of zeros."""
    tables = _tables(power)
    low, high = words & np.uint32(0xFFFF), words >> np.uint32(16)
    moved: _Words = tables[0][low] ^ tables[1][high]
    return moved


@cache
def _bytes_table() -> list[int]:
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (_POLYNOMIAL if byte & 1 else 0)
        table.append(byte)
    return table


@cache
def _tables(power: int) -> tuple[_Words, _Words]:
    """Return where 2 ** power words of zeros move every lower and every upper half of a word."""
    columns = _columns(power)
    halves = []
    for half in (columns[:16], columns[16:]):
        table = np.zeros(1, np.uint32)
        for column in half:
            table = np.concatenate([table, table ^ np.uint32(column)])
        halves.append(table)
    return halves[0], halves[1]


@cache
def _columns(power: int) -> list[int]:
    """Return where 2 ** power words of zeros move every single bit."""
    if power:
        once = np.array(_columns(power - 1), np.uint32)
        return [int(word) for word in _moved(once, power - 1)]
    table = _bytes_table()
    columns = []
    for bit in range(32):
        word = 1 << bit
        for _ in range(4):
            word = word >> 8 ^ table[word & 0xFF]
        columns.append(word)
    return columns
