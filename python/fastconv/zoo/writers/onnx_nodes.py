"""A traced graph as ONNX operators: https://onnx.ai/onnx/operators."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ...compiler.graph import Graph, Node
from ...compiler.trace import layer_of
from ...nn import Module
from .onnx_pooling import Window, adaptive_matrix

__all__ = ["GraphWriter"]

_ARITHMETIC: Final = {"add": "Add", "sub": "Sub", "mul": "Mul", "div": "Div"}


class GraphWriter:
    """Writes the nodes of a graph; `tensors` are the initializers, by name.

    One method for each kind of node, named like it, with the name of its first input.
    """

    def __init__(
        self, onnx: Any, net: Module, graph: Graph, opset: int, input_name: str, output_name: str
    ) -> None:
        self.tensors: dict[str, NDArray[Any]] = {}
        self._onnx = onnx
        self._net = net
        self._graph = graph
        self._opset = opset
        self._nodes: list[Any] = []
        self._input, self._output = input_name, output_name
        self._values = {graph.output: output_name, graph.input: input_name}
        state = net.state_dict()
        self._taken = {input_name, output_name, *state}
        # Of several names for one parameter, the first.
        self._parameters = {_place(array): name for name, array in reversed(state.items())}

    def graph(self, name: str, batch: int | str) -> Any:
        """Return the GraphProto, without the initializers; `batch` is the first axis's size."""
        for node in self._graph.nodes:
            getattr(self, node.op)(node, *map(self._values.__getitem__, node.inputs))
        if self._graph.output is self._graph.input:
            self._nodes.append(
                self._onnx.helper.make_node("Identity", [self._input], [self._output])
            )
        input, output = (
            self._onnx.helper.make_tensor_value_info(
                name, self._onnx.TensorProto.FLOAT, [batch, *value.shape[1:]]
            )
            for name, value in (
                (self._input, self._graph.input),
                (self._output, self._graph.output),
            )
        )
        return self._onnx.helper.make_graph(self._nodes, name, [input], [output])

    # Layers with weights.

    def conv2d(self, node: Node, x: str) -> None:
        (weight,) = node["weight"].parts
        inputs = [x, self._constant(node, "weight", weight)]
        if node["bias"] is not None:
            inputs.append(self._constant(node, "bias", node["bias"]))
        self._write(
            node,
            "Conv",
            inputs,
            kernel_shape=weight.shape[2:],
            strides=node["stride"],
            pads=_pads(node["padding"]),
            dilations=node["dilation"],
            group=node["groups"],
        )

    def conv_transpose2d(self, node: Node, x: str) -> None:
        (weight,) = node["weight"].parts
        sizes, results = node.inputs[0].shape[2:], node.output.shape[2:]
        windows = (node["stride"], node["dilation"], weight.shape[2:], node["padding"])
        extra = [  # how much larger the result is than windows and padding make it
            m - ((n - 1) * s + d * (k - 1) + 1 - sum(p))
            for m, n, s, d, k, p in zip(results, sizes, *windows, strict=True)
        ]
        self._write(
            node,
            "ConvTranspose",
            [x, self._constant(node, "weight", weight)],
            kernel_shape=weight.shape[2:],
            strides=node["stride"],
            pads=_pads(node["padding"]),
            dilations=node["dilation"],
            group=node["groups"],
            output_padding=extra,
        )

    def linear(self, node: Node, x: str) -> None:
        (weight,) = node["weight"].parts
        weight = self._constant(node, "weight", weight)
        bias = [] if node["bias"] is None else [self._constant(node, "bias", node["bias"])]
        if len(node.output.shape) == 2:
            self._write(node, "Gemm", [x, weight, *bias], transB=1)
            return
        weight = self._inner(node, "Transpose", [weight], perm=(1, 0))
        if bias:
            self._write(node, "Add", [self._inner(node, "MatMul", [x, weight]), *bias])
        else:
            self._write(node, "MatMul", [x, weight])

    def prelu(self, node: Node, x: str) -> None:
        slopes = node["weight"]
        if len(slopes) > 1:
            slopes = slopes.reshape(-1, *(1,) * (len(node.output.shape) - 2))
        self._write(node, "PRelu", [x, self._constant(node, "weight", slopes)])

    def batch_norm(self, node: Node, x: str) -> None:
        channels = node.output.shape[1]
        defaults = {"weight": np.ones(channels, np.float32), "bias": np.zeros(channels, np.float32)}
        inputs = [
            self._constant(node, name, defaults[name] if node.get(name) is None else node[name])
            for name in ("weight", "bias", "mean", "var")
        ]
        self._write(node, "BatchNormalization", [x, *inputs], epsilon=node["eps"])

    # Windows and neighbours.

    def max_pool2d(self, node: Node, x: str) -> None:
        window = Window(node)
        pads = window.reaching
        if window.beyond(pads):  # some runtimes take no padding as large as the window
            x, pads = self._padded(node, x, pads, -np.inf), window.none
        self._write(
            node,
            "MaxPool",
            [x],
            kernel_shape=node["kernel"],
            strides=node["stride"],
            pads=_pads(pads),
            dilations=node["dilation"],
        )

    def avg_pool2d(self, node: Node, x: str) -> None:
        window = Window(node)
        pads, counts = window.reaching, node["count_include_pad"]
        if counts and window.overflows:
            # The padding counts, but not what a window reaches beyond it.
            x, pads = self._padded(node, x, node["padding"], 0.0), window.overflow
            counts = False
        self._write(
            node,
            "AveragePool",
            [x],
            kernel_shape=node["kernel"],
            strides=node["stride"],
            pads=_pads(pads),
            count_include_pad=int(counts),
        )

    def adaptive_avg_pool2d(self, node: Node, x: str) -> None:
        before, after = node.inputs[0].shape[2:], node.output.shape[2:]
        if after == (1, 1):
            self._write(node, "GlobalAveragePool", [x])
        elif all(n % m == 0 for n, m in zip(before, after, strict=True)):
            window = [n // m for n, m in zip(before, after, strict=True)]
            self._write(node, "AveragePool", [x], kernel_shape=window, strides=window)
        else:
            # ONNX has windows of one size alone, but means are products with a matrix.
            rows, columns = map(adaptive_matrix, before, after)
            right = self._constant(node, "columns", columns.T)
            x = self._inner(node, "MatMul", [x, right])
            self._write(node, "MatMul", [self._constant(node, "rows", rows), x])

    def local_response_norm(self, node: Node, x: str) -> None:
        if node["size"] % 2 == 0:
            raise ValueError(
                "export_onnx: ONNX's local response normalisation, and this library's, agree for "
                f"odd sizes only (layer={layer_of(self._net, node)}, size={node['size']})"
            )
        self._write(
            node,
            "LRN",
            [x],
            size=node["size"],
            alpha=float(node["alpha"]),
            beta=float(node["beta"]),
            bias=float(node["k"]),
        )

    # Element by element.

    def activation(self, node: Node, x: str) -> None:
        kind, *numbers = (
            (node["activation"],) if node["activation"] == "relu" else node["activation"]
        )
        if kind == "relu":
            self._write(node, "Relu", [x])
        elif kind == "leaky_relu":
            self._write(node, "LeakyRelu", [x], alpha=numbers[0])
        else:
            bounds = [
                "" if bound is None else self._constant(node, name, np.float32(bound))
                for name, bound in zip(("min", "max"), numbers, strict=True)
            ]
            self._write(node, "Clip", [x, *bounds])

    def sigmoid(self, node: Node, x: str) -> None:
        self._write(node, "Sigmoid", [x])

    def tanh(self, node: Node, x: str) -> None:
        self._write(node, "Tanh", [x])

    def softmax(self, node: Node, x: str) -> None:
        self._write(node, "Softmax", [x], axis=node["dim"])

    def log_softmax(self, node: Node, x: str) -> None:
        self._write(node, "LogSoftmax", [x], axis=node["dim"])

    def negative(self, node: Node, x: str) -> None:
        self._write(node, "Neg", [x])

    def arithmetic(self, node: Node, *operands: str) -> None:
        if node["constant"] is not None:
            operands = (*operands, self._constant(node, "constant", node["constant"]))
        if node["reverse"]:
            operands = operands[::-1]
        self._write(node, _ARITHMETIC[node["function"]], operands)

    def add(self, node: Node, *operands: str) -> None:
        if node["activation"] is None:
            self._write(node, "Add", operands)
        else:
            self._write(node, "Relu", [self._inner(node, "Add", operands)])

    # Moving elements, and sums.

    def concat(self, node: Node, *inputs: str) -> None:
        self._write(node, "Concat", inputs, axis=node["dim"])

    def pad(self, node: Node, x: str) -> None:
        self._write(node, "Pad", [x, *self._sides(node, node["padding"], node["value"])])

    def reshape(self, node: Node, x: str) -> None:
        shape = node.output.shape
        if len(shape) == 2:
            self._write(node, "Flatten", [x], axis=1)
        else:  # 0 keeps the batch
            sizes = self._integers(node, "shape", [0, *shape[1:]])
            self._write(node, "Reshape", [x, sizes])

    def permute(self, node: Node, x: str) -> None:
        self._write(node, "Transpose", [x], perm=node["dims"])

    def index(self, node: Node, x: str) -> None:
        starts, ends, steps = zip(*node["ranges"], strict=True)
        axes = range(1, 1 + len(starts))
        named = {"starts": starts, "ends": ends, "axes": axes, "steps": steps}
        inputs = [self._integers(node, name, values) for name, values in named.items()]
        self._write(node, "Slice", [x, *inputs])

    def take(self, node: Node, x: str) -> None:
        numbers = self._integers(node, "channels", node["channels"])
        self._write(node, "Gather", [x, numbers], axis=node["dim"])

    def mean(self, node: Node, x: str) -> None:
        if self._opset >= 18:
            self._reduce("ReduceMean", node, x)
        else:
            keeps = int(node["keepdims"])
            self._write(node, "ReduceMean", [x], axes=node["axes"], keepdims=keeps)

    def sum(self, node: Node, x: str) -> None:
        self._reduce("ReduceSum", node, x)

    def _reduce(self, op: str, node: Node, x: str) -> None:
        axes = self._integers(node, "axes", node["axes"])
        self._write(node, op, [x, axes], keepdims=int(node["keepdims"]))

    # What all of them use.

    def _write(self, node: Node, op: str, inputs: Any, **attributes: Any) -> None:
        """Write the operator that makes a node's output."""
        name = self._unique(f"{node.layer}/{op}")
        output = self._values.setdefault(node.output, name)
        self._append(op, inputs, output, name, attributes)

    def _inner(self, node: Node, op: str, inputs: Any, **attributes: Any) -> str:
        """Write an operator on the way there; return its output's name."""
        name = self._unique(f"{node.layer}/{op}")
        self._append(op, inputs, name, name, attributes)
        return name

    def _append(
        self, op: str, inputs: Any, output: str, name: str, attributes: dict[str, Any]
    ) -> None:
        make = self._onnx.helper.make_node
        self._nodes.append(make(op, list(inputs), [output], name, **attributes))

    def _padded(self, node: Node, x: str, padding: Any, value: float) -> str:
        return self._inner(node, "Pad", [x, *self._sides(node, padding, value)])

    def _sides(self, node: Node, padding: Any, value: float) -> list[str]:
        top, left, bottom, right = _pads(padding)
        pads = self._integers(node, "pads", [0, 0, top, left, 0, 0, bottom, right])
        return [pads, self._constant(node, "value", np.float32(value))]

    def _constant(self, node: Node, role: str, value: Any) -> str:
        """Return the name of an initializer of floats: the state dict's for what is in there."""
        array = np.asarray(value, np.float32)
        name = self._parameters.get(_place(array)) if array.flags.c_contiguous else None
        if name is None or self.tensors.get(name, array).shape != array.shape:
            name = self._unique(f"{node.layer}/{role}")
        self.tensors[name] = array
        return name

    def _integers(self, node: Node, role: str, values: Any) -> str:
        name = self._unique(f"{node.layer}/{role}")
        self.tensors[name] = np.array(values, np.int64)
        return name

    def _unique(self, name: str) -> str:
        unique, number = name, 1
        while unique in self._taken:
            number += 1
            unique = f"{name}_{number}"
        self._taken.add(unique)
        return unique


def _pads(padding: Any) -> tuple[int, int, int, int]:
    """Return the sides of ((top, bottom), (left, right)) in ONNX's order: beginnings, ends."""
    (top, bottom), (left, right) = padding
    return top, left, bottom, right


def _place(array: NDArray[Any]) -> tuple[int, int]:
    """Return where an array's elements lie, and how many: what it shares with its reshapes."""
    return int(array.__array_interface__["data"][0]), array.size
