"""TensorFlow's files written byte by byte: protocol buffers, tables and checkpoints.

Written from https://protobuf.dev/programming-guides/encoding, LevelDB's doc/table_format.md and
TensorFlow's .proto files, and apart from the reader.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

MAGIC = 0xDB4775248B80FB57
TYPES = {"f4": 1, "f8": 2, "i4": 3, "i8": 9, "f2": 19}


def varint(number: int) -> bytes:
    number &= (1 << 64) - 1
    out = b""
    while number > 0x7F:
        out += bytes([number & 0x7F | 0x80])
        number >>= 7
    return out + bytes([number])


def field(number: int, value: int | float | str | bytes) -> bytes:
    """A field: integers as varints, floats in 4 bytes, the rest with its length."""
    if isinstance(value, float):
        return varint(number << 3 | 5) + struct.pack("<f", value)
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def shape(sizes: Iterable[int]) -> bytes:
    return b"".join(field(2, field(1, size)) for size in sizes)


def tensor(array: np.ndarray) -> bytes:
    kind = TYPES[array.dtype.str[1:]]
    return field(1, kind) + field(2, shape(array.shape)) + field(4, array.tobytes())


def node(name: str, op: str, inputs: Iterable[str] = (), **attributes: bytes) -> bytes:
    out = field(1, name) + field(2, op) + b"".join(field(3, text) for text in inputs)
    for key, value in attributes.items():
        out += field(5, field(1, key) + field(2, value))
    return out


def const(name: str, array: np.ndarray) -> bytes:
    kind = field(6, TYPES[array.dtype.str[1:]])
    return node(name, "Const", dtype=kind, value=field(8, tensor(array)))


def placeholder(name: str, *sizes: int) -> bytes:
    return node(name, "Placeholder", dtype=field(6, 1), shape=field(7, shape(sizes)))


def integers(*values: int) -> bytes:
    """An attribute that is a list of integers."""
    return field(1, field(3, b"".join(map(varint, values))))


def graph(*nodes: bytes, functions: Iterable[bytes] = ()) -> bytes:
    library = b"".join(field(1, function) for function in functions)
    return b"".join(field(1, n) for n in nodes) + (field(2, library) if library else b"")


def crc32c(data: bytes) -> int:
    """Bit by bit."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def masked(data: bytes) -> int:
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _block(pairs: list[tuple[bytes, bytes]], restart_every: int) -> bytes:
    out, restarts, last = b"", [], b""
    for place, (key, value) in enumerate(pairs):
        shared = 0
        if place % restart_every == 0:
            restarts.append(len(out))
        else:
            while shared < min(len(key), len(last)) and key[shared] == last[shared]:
                shared += 1
        rest = key[shared:]
        out += varint(shared) + varint(len(rest)) + varint(len(value)) + rest + value
        last = key
    restarts = restarts or [0]
    return out + struct.pack(f"<{len(restarts) + 1}I", *restarts, len(restarts))


def table(
    pairs: Mapping[bytes, bytes], per_block: int = 3, restart_every: int = 2, compression: int = 0
) -> bytes:
    """A table of sorted keys, `per_block` of them in each block."""
    out, handles = b"", []

    def add(content: bytes) -> bytes:
        nonlocal out
        handle = varint(len(out)) + varint(len(content))
        content += bytes([compression])
        out += content + struct.pack("<I", masked(content))
        return handle

    items = sorted(pairs.items())
    for start in range(0, len(items), per_block):
        block = items[start : start + per_block]
        handles.append((block[-1][0], add(_block(block, restart_every))))
    footer = add(_block([], 1)) + add(_block(handles, 1))
    return out + footer.ljust(40, b"\0") + struct.pack("<Q", MAGIC)


def entry(array: np.ndarray, offset: int, shard: int = 0, size: int | None = None) -> bytes:
    """What an index says of a tensor."""
    data = array.tobytes()
    kind = TYPES[array.dtype.str[1:]]
    return (
        field(1, kind)
        + field(2, shape(array.shape))
        + field(3, shard)
        + field(4, offset)
        + field(5, len(data) if size is None else size)
        + varint(6 << 3 | 5)
        + struct.pack("<I", masked(data))
    )


def write_bundle(prefix: Path, shards: list[dict[str, np.ndarray]], endianness: int = 0) -> None:
    """A checkpoint of whole tensors."""
    pairs = {b"": field(1, len(shards)) + field(2, endianness)}
    for number, tensors in enumerate(shards):
        data = b"\xff" * 5  # offsets need not begin at 0
        for name, array in tensors.items():
            pairs[name.encode()] = entry(array, len(data), number)
            data += array.tobytes()
        path = Path(f"{prefix}.data-{number:05d}-of-{len(shards):05d}")
        path.write_bytes(data)
    Path(f"{prefix}.index").write_bytes(table(pairs))
