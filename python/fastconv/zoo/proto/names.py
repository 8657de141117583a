"""Texts in messages."""

from __future__ import annotations

from typing import Any

from ..archive import FormatError

__all__ = ["check_texts"]


def check_texts(op: str, message: Any) -> None:
    """Raise FormatError, in the name of `op`, for a text that is no UTF-8: it comes as bytes."""
    from google.protobuf.descriptor import FieldDescriptor

    for field, value in message.ListFields():
        if field.type == FieldDescriptor.TYPE_MESSAGE:
            for part in value if hasattr(value, "append") or hasattr(value, "add") else [value]:
                check_texts(op, part)
        elif field.type == FieldDescriptor.TYPE_STRING:
            for text in [value] if isinstance(value, (str, bytes)) else value:
                if not isinstance(text, str):
                    raise FormatError(
                        f"{op}: texts must be UTF-8 (field={field.full_name}, text={text!r})"
                    )
