"""ONNX's own backend tests, but for those that onnx_excluded.py names: all others must pass."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper
from onnx.backend.test import BackendTest

from fastconv import onnx_backend
from zoo.onnx_excluded import EXCLUDED, is_excluded

LIGHT = [
    "bvlc_alexnet",
    "densenet121",
    "inception_v1",
    "inception_v2",
    "resnet50",
    "shufflenet",
    "squeezenet",
    "vgg19",
    "zfnet512",
]


class Backend(onnx_backend.FastconvBackend):
    """Claims that all models run: a case is never skipped because it cannot be built."""

    @classmethod
    def is_compatible(cls, *args: Any, **options: Any) -> bool:
        return True


def _cases() -> dict[str, Callable[[Any], None]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # building the cases divides by zero, and so on
        suite = BackendTest(Backend, __name__)
    return {
        name: function
        for case in suite.test_cases.values()
        for name, function in vars(case).items()
        if name.startswith("test_") and name.endswith("_cpu")
    }


CASES = _cases()
INCLUDED = sorted(name for name in CASES if not is_excluded(name))


@pytest.fixture(autouse=True)
def home(tmp_path_factory: Any, monkeypatch: Any) -> None:
    """The suite writes the models' inputs and outputs to ONNX_HOME."""
    monkeypatch.setenv("ONNX_HOME", str(tmp_path_factory.getbasetemp() / "onnx"))


@pytest.mark.parametrize("name", INCLUDED)
def test_case(name: str) -> None:
    CASES[name](None)


def test_models_and_most_of_the_operators_are_included() -> None:
    assert {f"test_{model}_cpu" for model in LIGHT} <= set(INCLUDED)
    assert len(INCLUDED) > 800
    for patterns in EXCLUDED.values():
        for pattern in patterns:
            assert any(re.search(pattern, name) for name in CASES), pattern


def relu() -> Any:
    info = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 2]) for name in "xy"]
    node = helper.make_node("Relu", ["x"], ["y"])
    return helper.make_model(helper.make_graph([node], "relu", info[:1], info[1:]))


def test_a_model_runs_on_lists_arrays_and_names() -> None:
    x = np.array([[-1, 2]], np.float32)
    for inputs in ([x], x, {"x": x}):
        (y,) = onnx_backend.prepare(relu()).run(inputs)
        np.testing.assert_array_equal(y, [[0, 2]])
    (y,) = onnx_backend.run_model(relu(), [x])
    np.testing.assert_array_equal(y, [[0, 2]])


def test_a_node_runs_in_its_operator_set() -> None:
    x = np.arange(6, dtype=np.float32).reshape(1, 2, 3)
    node = helper.make_node("Softmax", ["x"], ["y"], axis=1)
    (y,) = onnx_backend.run_node(node, [x], opset_version=11)
    np.testing.assert_allclose(y.sum(), 1, rtol=1e-6)
    (y,) = onnx_backend.run_node(node, [x])
    np.testing.assert_allclose(y.sum(1), 1, rtol=1e-6)


def test_only_the_processor_is_a_device() -> None:
    assert onnx_backend.supports_device("CPU")
    assert not onnx_backend.supports_device("CUDA:1")
    assert not onnx_backend.supports_device("abacus")
    with pytest.raises(ValueError, match="the device must be the CPU"):
        onnx_backend.prepare(relu(), "CUDA")


def test_compatible_is_what_can_be_built() -> None:
    model = relu()
    assert onnx_backend.is_compatible(model)
    model.graph.node[0].op_type = "Erf"
    assert not onnx_backend.is_compatible(model)
