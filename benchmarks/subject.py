"""What is raced: a network, its variant and the size of its pictures."""

from __future__ import annotations

import re
from dataclasses import dataclass

from fastconv import models

__all__ = ["Subject"]


@dataclass(frozen=True)
class Subject:
    """Prints as what it is parsed from: `googlenet:torchvision@231x257`, or less of it."""

    name: str
    variant: str
    shape: tuple[int, int, int]  # channels, height, width

    @classmethod
    def parse(cls, text: str) -> Subject:
        """Fill in what is left out: the first variant, the size that the network was made for."""
        match = re.fullmatch(r"(\w+)(?::(\w+))?(?:@(\d+)x(\d+))?", text)
        if match is None:
            raise ValueError(f"networks: name, name:variant or name@HxW (network={text!r})")
        name, variant, height, width = match.groups()
        variant = variant or models.variants(name)[0]
        channels, *size = models.input_shape(name, variant)
        h, w = (int(height), int(width)) if height else size
        return cls(name, variant, (channels, h, w))

    def __str__(self) -> str:
        text = self.name
        if self.variant != models.variants(self.name)[0]:
            text += f":{self.variant}"
        if self.shape != models.input_shape(self.name, self.variant):
            text += "@{}x{}".format(*self.shape[1:])
        return text
