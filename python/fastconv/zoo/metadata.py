"""What this library notes in other formats' metadata, text by text, and how it is read back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from ..data import Preset
from ..nn import Module
from .archive import FormatError

__all__ = [
    "ARCHITECTURE",
    "CLASSES",
    "LICENSE",
    "PRESET",
    "architecture_in",
    "classes_in",
    "metadata_of",
    "preset_in",
]

PRESET: Final = "fastconv.preset"  # the fields of a data.Preset, as JSON
CLASSES: Final = "fastconv.classes"  # the names of the outputs, a list as JSON
ARCHITECTURE: Final = "fastconv.architecture"  # what models.get is told: [name, options] as JSON
LICENSE: Final = "fastconv.license"  # of the weights, such as "BSD-3-Clause"


def metadata_of(
    net: Module,
    *,
    architecture: tuple[str, dict[str, Any]] | None = None,
    license: str | None = None,
) -> dict[str, str]:
    """Return the entries for what is known of a network; `architecture` is (name, options), and
    `license` by default the network's."""
    entries = {
        PRESET: None if net.preset is None else json.dumps(net.preset.to_dict()),
        CLASSES: None if net.classes is None else json.dumps(net.classes, ensure_ascii=False),
        ARCHITECTURE: None if architecture is None else json.dumps(architecture),
        LICENSE: net.license if license is None else license,
    }
    return {key: text for key, text in entries.items() if text is not None}


def preset_in(metadata: Mapping[str, str]) -> Preset | None:
    """Return the preset among a file's metadata, if it is there; FormatError if it is damaged."""
    fields = _json(metadata, PRESET)
    if fields is None:
        return None
    try:
        return Preset(**fields)
    except (TypeError, ValueError) as error:
        raise FormatError(
            f"zoo: {PRESET} must hold a preset's fields (found={metadata[PRESET]!r:.200}, "
            f"reason={error})"
        ) from error


def classes_in(metadata: Mapping[str, str]) -> tuple[str, ...] | None:
    """Return the classes among a file's metadata, if there; FormatError if they are damaged."""
    names = _json(metadata, CLASSES)
    if names is None:
        return None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise FormatError(
            f"zoo: {CLASSES} must hold a list of texts (found={metadata[CLASSES]!r:.200})"
        )
    return tuple(names)


def architecture_in(metadata: Mapping[str, str]) -> tuple[str, dict[str, Any]] | None:
    """Return the architecture among a file's metadata, if there; FormatError if it is damaged."""
    found = _json(metadata, ARCHITECTURE)
    if found is None:
        return None
    kinds = [type(part) for part in found] if isinstance(found, list) else []
    if kinds != [str, dict]:
        raise FormatError(
            f"zoo: {ARCHITECTURE} must hold a name and options "
            f"(found={metadata[ARCHITECTURE]!r:.200})"
        )
    return found[0], found[1]


def _json(metadata: Mapping[str, str], key: str) -> Any:
    text = metadata.get(key)
    if text is None:
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"zoo: {key} must hold JSON (found={text!r:.200})") from error
