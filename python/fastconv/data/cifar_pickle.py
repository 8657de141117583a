"""The pickled batches of CIFAR-10's Python version, read without executing them.

A pickle is a program for a stack machine, and one of its instructions calls any function whatever.
Here `pickletools` decodes the instructions and a machine of our own runs the few of them that these
files consist of. It knows dicts, lists, tuples, strings, bytes, integers, and the names by which
NumPy's arrays of bytes are written; those stand for themselves, and nothing is imported or called.
Format: https://www.cs.toronto.edu/~kriz/cifar.html, https://docs.python.org/3/library/pickletools.html
"""

from __future__ import annotations

import math
import pickletools
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

__all__ = ["read_cifar_pickle"]

_VALUES = 3072
_CLASSES = 10

_RECONSTRUCT, _NDARRAY, _DTYPE, _ENCODE, _FROMBUFFER = "reconstruct", "array", "dtype", "enc", "buf"
_NAMES = {
    "numpy.core.multiarray _reconstruct": _RECONSTRUCT,
    "numpy._core.multiarray _reconstruct": _RECONSTRUCT,
    "numpy ndarray": _NDARRAY,
    "numpy dtype": _DTYPE,
    "_codecs encode": _ENCODE,  # how Python 3 writes bytes for Python 2
    "numpy.core.numeric _frombuffer": _FROMBUFFER,
    "numpy._core.numeric _frombuffer": _FROMBUFFER,
}


class _Name:
    """One of _NAMES on the stack."""

    def __init__(self, role: str) -> None:
        self.role = role


class _Dtype:
    """The dtype uint8."""


class _Array:
    """An array: first the shell that _reconstruct makes, then what BUILD fills in."""

    value: NDArray[np.uint8] | None = None


class _Mark:
    """Where a tuple, list or dict begins on the stack."""


class _RuleError(ValueError):
    """What a pickle must not hold."""


def read_cifar_pickle(content: bytes, name: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return the pictures (N, 3072) and labels (N,) of a batch such as `data_batch_1`.

    Raises ValueError, which mentions the file's `name`, for anything that is not such a pickle.
    """
    try:
        batch = _Machine().run(content)
        return _pictures(batch), _labels(batch)
    except _RuleError as error:
        raise ValueError(f"cifar10: {error} (file={name})") from error
    except (ValueError, IndexError, TypeError, KeyError, AttributeError, OverflowError) as error:
        raise ValueError(
            "cifar10: the file must be a whole pickled batch "
            f"(file={name}, found={type(error).__name__}: {str(error)[:200]})"
        ) from error


def _pictures(batch: Any) -> NDArray[np.uint8]:
    data = _item(batch, "data")
    pictures = data.value if isinstance(data, _Array) else None
    if pictures is None or pictures.ndim != 2 or pictures.shape[1] != _VALUES:
        shape = "none" if pictures is None else pictures.shape
        raise _RuleError(
            f"data must be a uint8 array of {_VALUES} columns, and its shape is {shape}"
        )
    if len(_item(batch, "labels")) != len(pictures):
        raise _RuleError(
            f"there must be one label for each picture, and there are {len(pictures)} pictures "
            f"and {len(_item(batch, 'labels'))} labels"
        )
    return pictures


def _labels(batch: Any) -> NDArray[np.int64]:
    labels = _item(batch, "labels")
    if not all(type(one) is int and 0 <= one < _CLASSES for one in labels):
        raise _RuleError(f"labels must be integers from 0 to {_CLASSES - 1}")
    return np.array(labels, np.int64)


def _item(batch: Any, key: str) -> Any:
    """Look up a key that Python 2 wrote as bytes, and Python 3 as text."""
    if not isinstance(batch, dict):
        raise _RuleError(f"a batch must be a dict, and this is {type(batch).__name__}")
    found = batch.get(key, batch.get(key.encode()))
    if found is None or (key == "labels" and not isinstance(found, list)):
        raise _RuleError("a batch must hold 'data' and a list of 'labels'")
    return found


class _Machine:
    """The stack machine of pickles, without its imports and calls."""

    def __init__(self) -> None:
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def run(self, content: bytes) -> Any:
        """Run a pickle up to its STOP and return what it leaves on the stack."""
        argument: Any
        for code, argument, _ in pickletools.genops(content):
            name = code.name
            if name in _IGNORED:
                continue
            if name in _CONSTANTS:
                self._stack.append(_CONSTANTS[name]())
            elif name in _LITERALS:
                self._stack.append(argument)
            elif name in _BYTES:  # pickletools shows Python 2's strings as Latin-1
                text = argument.encode("latin-1") if isinstance(argument, str) else argument
                self._stack.append(bytes(text))
            elif name in _GETS:
                self._stack.append(self._memo[int(argument)])
            elif name in _PUTS:
                self._memo[int(argument)] = self._stack[-1]
            elif name == "STOP":
                return self._stack.pop()
            else:
                self._step(name, argument)
        raise _RuleError("the pickle must have an end")

    def _step(self, name: str, argument: Any) -> None:
        stack = self._stack
        items: Any
        if name == "MEMOIZE":
            self._memo[len(self._memo)] = stack[-1]
        elif name == "GLOBAL":
            stack.append(_known(argument))
        elif name == "STACK_GLOBAL":
            attribute, module = stack.pop(), stack.pop()
            stack.append(_known(" ".join((module, attribute))))
        elif name in ("TUPLE1", "TUPLE2", "TUPLE3"):
            count = int(name[-1])
            items = tuple(stack[-count:])
            if len(items) != count:
                raise IndexError("the stack is too short")
            stack[-count:] = [items]
        elif name == "TUPLE":
            stack.append(tuple(self._since_mark()))
        elif name in ("LIST", "DICT"):
            items = self._since_mark()
            stack.append(items if name == "LIST" else dict(_pairs(items)))
        elif name in ("APPEND", "APPENDS"):
            items = [stack.pop()] if name == "APPEND" else self._since_mark()
            self._top(list).extend(items)
        elif name in ("SETITEM", "SETITEMS"):
            items = [stack.pop(), stack.pop()][::-1] if name == "SETITEM" else self._since_mark()
            self._top(dict).update(_pairs(items))
        elif name == "REDUCE":
            arguments, function = stack.pop(), stack.pop()
            stack.append(_call(function, arguments))
        elif name == "BUILD":
            state = stack.pop()
            if not isinstance(stack[-1], _Dtype):  # the byte order of bytes means nothing
                self._top(_Array).value = _array(*state[1:])
        else:
            raise _RuleError(f"a pickled batch must not hold the instruction {name}")

    def _since_mark(self) -> list[Any]:
        """Take what lies above the last mark off the stack, and the mark."""
        place = len(self._stack) - 1
        while not isinstance(self._stack[place], _Mark):
            place -= 1
            if place < 0:
                raise IndexError("no mark on the stack")
        items = self._stack[place + 1 :]
        del self._stack[place:]
        return items

    def _top(self, kind: type) -> Any:
        if type(self._stack[-1]) is not kind:
            raise TypeError(f"{kind.__name__} expected on the stack")
        return self._stack[-1]


_IGNORED = {"PROTO", "FRAME"}
_CONSTANTS: dict[str, Any] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_DICT": dict,
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple,
    "MARK": _Mark,
}
_LITERALS = {
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4"),
    *("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
}
_BYTES = {
    *("STRING", "BINSTRING", "SHORT_BINSTRING"),
    *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"),
}
_GETS = {"GET", "BINGET", "LONG_BINGET"}
_PUTS = {"PUT", "BINPUT", "LONG_BINPUT"}


def _known(name: str) -> _Name:
    if name not in _NAMES:
        raise _RuleError(f"a pickled batch must not name {name[:100]!r}")
    return _Name(_NAMES[name])


def _pairs(items: list[Any]) -> list[tuple[Any, Any]]:
    if len(items) % 2:
        raise IndexError("a dict needs pairs")
    if not all(type(key) in (str, bytes) for key in items[::2]):
        raise _RuleError("the keys of a dict must be strings")  # any other may take forever to hash
    return list(zip(items[::2], items[1::2], strict=True))


def _call(function: Any, arguments: Any) -> Any:
    """Return what one of the known functions would."""
    role = function.role if isinstance(function, _Name) else None
    if role == _RECONSTRUCT:
        return _Array()
    if role == _DTYPE:
        if arguments[0] not in ("u1", b"u1", "|u1", b"|u1"):
            raise _RuleError("arrays must be of bytes (uint8)")
        return _Dtype()
    if role == _ENCODE:
        text, encoding = arguments
        if encoding not in ("latin1", "latin-1", b"latin1"):
            raise _RuleError("bytes must be written as Latin-1")
        return text.encode("latin-1")
    if role == _FROMBUFFER:
        content, dtype, shape, order = arguments
        array = _Array()
        array.value = _array(shape, dtype, order == "F", content)
        return array
    return _refuse()


def _refuse() -> NoReturn:
    raise _RuleError("a pickled batch must not call functions")


def _array(shape: Any, dtype: Any, columns_first: Any, content: Any) -> NDArray[np.uint8]:
    if not isinstance(dtype, _Dtype) or not isinstance(content, bytes):
        raise _RuleError("arrays must be of bytes (uint8)")
    sizes = [one for one in shape if type(one) is int and one >= 0]
    if len(sizes) != len(shape) or math.prod(sizes) != len(content):
        raise _RuleError("an array must have as many bytes as its shape says")
    return np.frombuffer(content, np.uint8).reshape(sizes, order="F" if columns_first else "C")
