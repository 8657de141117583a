"""Messages from bytes and files."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

from ..archive import FormatError, head_of, missing_extra
from .names import check_texts
from .wire import is_text

__all__ = ["messages", "parse", "read"]


def messages(framework: str, what: str) -> Any:
    """Return the module with a framework's messages.

    Raises ImportError, in the name of what needs them, that names the extra without protobuf.
    """
    try:
        return import_module(f"{__package__}.{framework}_pb2")
    except ImportError as error:
        raise missing_extra(what, "protobuf") from error


def parse(op: str, kind: Any, content: bytes) -> Any:
    """Return the message of a class; FormatError, in the name of `op`, if it is damaged."""
    from google.protobuf.message import DecodeError

    try:
        return kind.FromString(content)
    except (DecodeError, RecursionError, ValueError) as error:
        raise _damaged(op, kind, error) from error


def read(op: str, kind: Any, file: Path) -> Any:
    """Return the message of a class in a file, as text or in wire format, all its texts UTF-8."""
    from google.protobuf import text_format

    if not file.is_file():
        raise FormatError(f"{op}: networks and weights must be files (file={file})")
    op = f"{op}: {file}"
    content = file.read_bytes()
    if is_text(head_of(file)):
        try:
            text = content.decode("utf-8", "replace")
            message = text_format.Parse(text, kind(), allow_unknown_field=True)
        except (text_format.ParseError, RecursionError, ValueError) as error:
            raise _damaged(op, kind, error) from error
    else:
        message = parse(op, kind, content)
    check_texts(op, message)
    return message


def _damaged(op: str, kind: Any, error: Exception) -> FormatError:
    return FormatError(
        f"{op}: the message must be whole (kind={kind.DESCRIPTOR.name}, reason={error})"
    )
