"""Pickles, read without executing them.

A pickle is a program for a stack machine, and some of its instructions call any function whatever.
Here a machine of our own runs those that build containers, numbers, texts and NumPy's arrays, and
refuses the rest. A name in a pickle stands for an entry of a table, never for what Python would
import under it; what the table does not hold is refused.
Instructions: the comments of https://github.com/python/cpython/blob/main/Lib/pickletools.py
"""

from __future__ import annotations

import codecs
import math
import mmap
import pickletools
import struct
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["NUMPY", "Call", "Machine", "PickleError", "Shell", "make_dict", "text"]


class PickleError(ValueError):
    """A damaged pickle, or one with more than values in it.

    refused: the name, such as "posix.system", that the table does not hold; or "".
    """

    def __init__(self, message: str, refused: str = "") -> None:
        super().__init__(message)
        self.refused = refused


class Call:
    """What a name stands for that a pickle may call."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function


class Shell:
    """What a call returns and a BUILD instruction completes; here it forgets what it is told."""

    def build(self, state: Any) -> None:
        pass


def text(value: Any) -> str:
    """Return a string, which Python 2 pickled as bytes."""
    if type(value) is bytes:
        return value.decode("latin-1")
    if type(value) is not str:
        raise PickleError(f"a string is expected (type={type(value).__name__})")
    return value


def make_dict(pairs: Any = ()) -> dict[Any, Any]:
    """Return what dict() would of a dict or of pairs; keys that are bytes become strings."""
    pairs = list(pairs.items() if type(pairs) is dict else pairs)
    if any(type(pair) not in (list, tuple) or len(pair) != 2 for pair in pairs):
        raise PickleError("a dict needs pairs")
    # Any other key may take forever to hash.
    if not all(type(key) in (str, bytes, int, float, bool, type(None)) for key, _ in pairs):
        raise PickleError("the keys of a dict must be strings or numbers")
    return {text(key) if type(key) is bytes else key: value for key, value in pairs}


class Machine:
    """The stack machine of pickles, without its imports and calls.

    names: what "module name" stands for: a Call, or a value to be put in its place.
    persistent: called with a persistent id, returns the object; by default there must be none.
    Strings of Python 2 are bytes (see `text`), but for the keys of dicts.
    """

    def __init__(
        self, names: Mapping[str, Any], persistent: Callable[[Any], Any] | None = None
    ) -> None:
        self._names = names
        self._persistent = persistent

    def run(self, content: bytes | mmap.mmap, start: int = 0) -> tuple[Any, int]:
        """Run the pickle at `start`; return what it leaves, and where it ends.

        Raises PickleError for whatever is wrong with it.
        """
        try:
            return self._run(_Source(content, start))
        except PickleError:
            raise
        except (ValueError, IndexError, TypeError, KeyError, OverflowError, struct.error) as error:
            raise PickleError(
                f"the pickle must be whole (found={type(error).__name__}: {str(error)[:200]})"
            ) from error

    def _run(self, source: _Source) -> tuple[Any, int]:
        self._stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}
        while True:
            code = source.take(1)
            if code in _ARGUMENTS:
                name, read = _ARGUMENTS[code]
                argument = read(source)
                if name == "value":
                    self._stack.append(argument)
                else:
                    _ACTIONS[name](self, argument)
            elif code == b".":
                return self._stack.pop(), source.at
            elif code in _STEPS:
                _STEPS[code](self)
            else:
                known = {op.code: op.name for op in pickletools.opcodes}
                name = known.get(code.decode("latin-1"), repr(code))
                raise PickleError(f"a pickle must not hold the instruction {name}")

    def _mark(self) -> None:
        self._marks.append(len(self._stack))

    def _since_mark(self) -> list[Any]:
        place = self._marks.pop()
        items = self._stack[place:]
        del self._stack[place:]
        return items

    def _last(self, count: int) -> list[Any]:
        if len(self._stack) < count + (self._marks[-1] if self._marks else 0):
            raise IndexError("the stack is too short")
        items = self._stack[-count:]
        del self._stack[-count:]
        return items

    def _top(self, kind: type) -> Any:
        if type(self._stack[-1]) is not kind:
            raise PickleError(f"a {kind.__name__} is expected on the stack")
        return self._stack[-1]

    def _get(self, number: int) -> None:
        self._stack.append(self._memo[number])

    def _put(self, number: int) -> None:
        self._memo[number] = self._stack[-1]

    def _set_items(self, items: list[Any]) -> None:
        self._top(dict).update(make_dict(_pairs(items)))

    def _global(self, name: str) -> None:
        if name not in self._names:
            raise PickleError(f"a pickle must not name {name[:100]!r}", name.replace(" ", ".", 1))
        self._stack.append(self._names[name])

    def _reduce(self) -> None:
        called, arguments = self._last(2)
        if not isinstance(called, Call) or type(arguments) is not tuple:
            raise PickleError("a pickle must not call functions")
        self._stack.append(called.function(*arguments))

    def _build(self) -> None:
        (state,) = self._last(1)
        target = self._stack[-1]
        if isinstance(target, Shell):
            target.build(state)
        elif type(target) is not dict:  # the attributes of an OrderedDict are no items
            raise PickleError(f"BUILD must have an object (type={type(target).__name__})")

    def _identify(self, identity: Any) -> None:
        if self._persistent is None:
            raise PickleError("a pickle must not refer to objects outside of it")
        self._stack.append(self._persistent(identity))


class _Source:
    """The bytes of a pickle, and how far they are read."""

    def __init__(self, content: bytes | mmap.mmap, at: int) -> None:
        self._content = content
        self.at = at

    def take(self, count: int) -> bytes:
        taken: bytes = self._content[self.at : self.at + count] if count >= 0 else b""
        if len(taken) != count:
            raise PickleError(f"the pickle must be whole (missing bytes at={self.at})")
        self.at += count
        return taken

    def unpack(self, format: str) -> Any:
        (value,) = struct.unpack(format, self.take(struct.calcsize(format)))
        return value

    def line(self) -> bytes:
        end = self._content.find(b"\n", self.at)
        line = self.take(max(end - self.at, -1))
        self.at += 1
        return line


def _pairs(items: list[Any]) -> list[tuple[Any, Any]]:
    return list(zip(items[::2], items[1::2], strict=True))


def _integer(source: _Source) -> Any:
    line = source.line()
    if line in (b"00", b"01"):  # how the first protocol writes booleans
        return line == b"01"
    return _decimal(line.rstrip(b"L"))


def _decimal(digits: bytes) -> int:
    # Long ones would take long, and none is needed.
    if len(digits) > 40:
        raise PickleError(f"an integer must be short (digits={len(digits)})")
    return int(digits)


def _binary(content: bytes) -> int:
    if len(content) > 16:
        raise PickleError(f"an integer must be short (bytes={len(content)})")
    return int.from_bytes(content, "little", signed=True)


def _string(source: _Source) -> bytes:
    line = source.line().strip()
    if len(line) < 2 or line[:1] != line[-1:] or line[:1] not in b"'\"":
        raise PickleError("a string must stand between quotes")
    decoded: bytes = codecs.escape_decode(line[1:-1])[0]
    return decoded


def _utf8(content: bytes) -> str:
    return content.decode("utf-8", "surrogatepass")


def _sized(format: str, decode: Callable[[bytes], Any] = bytes) -> Callable[[_Source], Any]:
    """Return how to read a length and as many bytes."""
    return lambda source: decode(source.take(source.unpack(format)))


def _fixed(format: str) -> Callable[[_Source], Any]:
    return lambda source: source.unpack(format)


def _number_line(source: _Source) -> int:
    return _decimal(source.line())


def _name_lines(source: _Source) -> str:
    return f"{_utf8(source.line())} {_utf8(source.line())}"


# By instruction: what to do with the argument that follows it, and how to read that.
_ARGUMENTS: dict[bytes, tuple[str, Callable[[_Source], Any]]] = {
    b"\x80": ("ignore", _fixed("<B")),  # the protocol
    b"\x95": ("ignore", _fixed("<Q")),  # the length of a frame
    b"I": ("value", _integer),
    b"L": ("value", _integer),
    b"J": ("value", _fixed("<i")),
    b"K": ("value", _fixed("<B")),
    b"M": ("value", _fixed("<H")),
    b"\x8a": ("value", _sized("<B", _binary)),
    b"\x8b": ("value", _sized("<i", _binary)),
    b"F": ("value", lambda source: float(source.line())),
    b"G": ("value", _fixed(">d")),
    b"S": ("value", _string),
    b"T": ("value", _sized("<i")),
    b"U": ("value", _sized("<B")),
    b"V": ("value", lambda source: source.line().decode("raw-unicode-escape")),
    b"X": ("value", _sized("<I", _utf8)),
    b"\x8c": ("value", _sized("<B", _utf8)),
    b"\x8d": ("value", _sized("<Q", _utf8)),
    b"B": ("value", _sized("<I")),
    b"C": ("value", _sized("<B")),
    b"\x8e": ("value", _sized("<Q")),
    b"\x96": ("value", _sized("<Q")),
    b"g": ("get", _number_line),
    b"h": ("get", _fixed("<B")),
    b"j": ("get", _fixed("<I")),
    b"p": ("put", _number_line),
    b"q": ("put", _fixed("<B")),
    b"r": ("put", _fixed("<I")),
    b"c": ("global", _name_lines),
    b"P": ("identify", lambda source: source.line()),
}
_ACTIONS: dict[str, Callable[[Machine, Any], None]] = {
    "ignore": lambda machine, _: None,
    "get": Machine._get,
    "put": Machine._put,
    "global": Machine._global,
    "identify": Machine._identify,
}


def _push(machine: Machine, value: Any) -> None:
    machine._stack.append(value)


def _stack_global(machine: Machine) -> None:
    module, name = machine._last(2)
    machine._global(f"{text(module)} {text(name)}")


# By instruction without an argument: what it does.
_STEPS: dict[bytes, Callable[[Machine], None]] = {
    b"(": Machine._mark,
    b"N": lambda m: _push(m, None),
    b"\x88": lambda m: _push(m, True),
    b"\x89": lambda m: _push(m, False),
    b"]": lambda m: _push(m, []),
    b"}": lambda m: _push(m, {}),
    b")": lambda m: _push(m, ()),
    b"l": lambda m: _push(m, m._since_mark()),
    b"t": lambda m: _push(m, tuple(m._since_mark())),
    b"d": lambda m: _push(m, make_dict(_pairs(m._since_mark()))),
    b"\x85": lambda m: _push(m, tuple(m._last(1))),
    b"\x86": lambda m: _push(m, tuple(m._last(2))),
    b"\x87": lambda m: _push(m, tuple(m._last(3))),
    b"a": lambda m: _extend(m, m._last(1)),
    b"e": lambda m: _extend(m, m._since_mark()),
    b"s": lambda m: m._set_items(m._last(2)),
    b"u": lambda m: m._set_items(m._since_mark()),
    b"\x94": lambda m: m._put(len(m._memo)),
    b"\x93": _stack_global,
    b"R": Machine._reduce,
    b"\x81": Machine._reduce,  # NEWOBJ: a class and arguments
    b"b": Machine._build,
    b"Q": lambda m: m._identify(*m._last(1)),
}


def _extend(machine: Machine, items: list[Any]) -> None:
    machine._top(list).extend(items)


class _Dtype(Shell):
    """numpy.dtype; its byte order comes with BUILD."""

    def __init__(self, name: Any, *_: Any) -> None:
        name = text(name)
        if name.lstrip("<>|=")[:1] not in tuple("?bciufSU") or len(name) > 8:
            raise PickleError(f"arrays must be of numbers (dtype={name[:100]!r})")
        self.value = np.dtype(name)

    def build(self, state: Any) -> None:
        order = text(state[1])
        if order not in "<>|=" or any(part is not None for part in state[2:5]):
            raise PickleError("arrays must be of numbers (dtype=a structure)")
        self.value = self.value.newbyteorder(order)


class _Array(Shell):
    """numpy.ndarray: first empty, then what BUILD fills in."""

    value: NDArray[Any] | None = None

    def build(self, state: Any) -> None:
        _, shape, dtype, columns_first, content = state
        self.value = _array(content, dtype, shape, columns_first)


def _array(content: Any, dtype: Any, shape: Any, columns_first: Any) -> NDArray[Any]:
    if not isinstance(dtype, _Dtype) or type(content) is not bytes:
        raise PickleError("arrays must be of numbers")
    sizes = [one for one in shape if type(one) is int and one >= 0]
    if len(sizes) != len(shape) or math.prod(sizes) * dtype.value.itemsize != len(content):
        raise PickleError("an array must have as many bytes as its shape says")
    flat = np.frombuffer(content, dtype.value) if content else np.empty(0, dtype.value)
    return flat.reshape(sizes, order="F" if columns_first else "C")


def _from_buffer(content: Any, dtype: Any, shape: Any, order: Any) -> _Array:
    array = _Array()
    array.value = _array(content, dtype, shape, order == "F")
    return array


def _scalar(dtype: Any, content: Any) -> Any:
    return _array(content, dtype, (), False)[()]


def _encode(string: Any, encoding: Any) -> bytes:
    if text(encoding) not in ("latin1", "latin-1"):
        raise PickleError("bytes must be written as Latin-1")
    return text(string).encode("latin-1")


# The names by which pickles hold arrays; they become objects whose `value` is the array.
NUMPY: dict[str, Any] = {
    "numpy ndarray": None,
    "numpy dtype": Call(_Dtype),
    "_codecs encode": Call(_encode),  # how Python 3 writes bytes for Python 2
}
for _core in ("numpy.core", "numpy._core"):
    NUMPY[f"{_core}.multiarray _reconstruct"] = Call(lambda *_: _Array())
    NUMPY[f"{_core}.multiarray scalar"] = Call(_scalar)
    NUMPY[f"{_core}.numeric _frombuffer"] = Call(_from_buffer)
