"""The package's names: one twin per kernel, documented, importing nothing else."""

from __future__ import annotations

import inspect
import subprocess
import sys

from fastconv import reference
from operations import OPERATIONS, STEPS


def test_every_name_is_exported_and_documented():
    for name in reference.__all__:
        function = getattr(reference, name)
        assert inspect.isfunction(function)
        assert function.__doc__, name
        assert inspect.signature(function).return_annotation is not inspect.Signature.empty


def test_every_operation_is_known_to_the_test_helper():
    forward = {name for name in reference.__all__ if "_backward" not in name}
    assert forward == set(OPERATIONS) | STEPS


def test_it_imports_nothing_else_of_fastconv():
    code = (
        "import sys, fastconv.reference; "
        "print([m for m in sys.modules if m.startswith('fastconv.')"
        " and not m.startswith('fastconv.reference')])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"
