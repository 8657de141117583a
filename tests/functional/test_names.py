"""The package's names: those of the twins, with the same arguments, and what packs weights."""

from __future__ import annotations

import inspect

import pytest

from fastconv import functional, reference

PACKING = {"PackedConv2d", "PackedLinear", "pack_conv2d", "pack_linear"}


def test_every_name_has_a_twin():
    assert set(functional.__all__) == set(reference.__all__) | PACKING
    assert sorted(functional.__all__) == list(functional.__all__)


@pytest.mark.parametrize("name", functional.__all__)
def test_every_name_is_documented(name):
    assert getattr(functional, name).__doc__


@pytest.mark.parametrize("name", reference.__all__)
def test_arguments_are_those_of_the_twin(name):
    def arguments(module):
        parameters = inspect.signature(getattr(module, name)).parameters.values()
        return [(p.name, p.kind, p.default) for p in parameters]

    assert arguments(functional) == arguments(reference)
