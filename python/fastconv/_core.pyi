"""C++ kernels of fastconv. Private: use fastconv.functional.

Arrays are C-ordered float32, pictures (N, H, W, C); the last arguments are the outputs, written in
place. Flat arrays are memory in any order that the arguments share.
"""

from collections.abc import Sequence
from typing import TypeAlias, TypedDict

import numpy as np
from numpy.typing import NDArray

_Array: TypeAlias = NDArray[np.float32]
_Activation: TypeAlias = str | tuple[str, float] | tuple[str, float | None, float | None] | None
_Pair: TypeAlias = tuple[int, int]
_Sides: TypeAlias = tuple[int, int, int, int]  # top, bottom, left, right

class _BuildInfo(TypedDict):
    version: str
    build_type: str
    compiler: str
    openmp: bool
    l2_cache_bytes: int

__version__: str

# runtime
def get_isa() -> str: ...
def set_isa(name: str) -> None: ...
def available_isas() -> list[str]: ...
def get_num_threads() -> int: ...
def set_num_threads(threads: int) -> None: ...
def measure_peak_gflops(seconds: float = 0.1) -> float: ...
def kept_weight_bytes() -> int: ...
def build_info() -> _BuildInfo: ...
def empty_floats(size: int) -> _Array: ...
def empty_cache() -> None: ...
def memory_allocated() -> int: ...
def max_memory_allocated() -> int: ...

# gemm: c holds beta's operand and receives the result
def gemm(
    a: _Array,
    b: _Array,
    alpha: float,
    beta: float,
    trans_a: bool,
    trans_b: bool,
    bias: _Array | None,
    residual: _Array | None,
    activation: _Activation,
    c: _Array,
) -> None: ...
def column_sums(x: _Array, sums: _Array) -> None: ...

class PackedLinear:
    def __init__(
        self, weight: _Array, bias: _Array | None, activation: _Activation, weights: str = "fp32"
    ) -> None: ...
    @property
    def in_features(self) -> int: ...
    @property
    def out_features(self) -> int: ...
    def run(self, x: _Array, out: _Array) -> None: ...

# conv
def conv2d_output_size(
    batch: int,
    in_channels: int,
    size: _Pair,
    out_channels: int,
    kernel: _Pair,
    stride: _Pair,
    padding: _Sides,
    dilation: _Pair,
    groups: int,
) -> _Pair: ...
def conv2d(
    x: _Array,
    weight: _Array,
    bias: _Array | None,
    stride: _Pair,
    padding: _Sides,
    dilation: _Pair,
    groups: int,
    residual: _Array | None,
    activation: _Activation,
    algorithm: str,
    out: _Array,
) -> None: ...
def conv2d_backward_input(
    grad_output: _Array,
    weight: _Array,
    stride: _Pair,
    padding: _Sides,
    dilation: _Pair,
    groups: int,
    algorithm: str,
    grad_x: _Array,
    adds: bool,
) -> None: ...
def conv2d_backward_weight(
    grad_output: _Array,
    x: _Array,
    stride: _Pair,
    padding: _Sides,
    dilation: _Pair,
    groups: int,
    algorithm: str,
    grad_weight: _Array,
) -> None: ...
def conv2d_maxima_backward(
    grad_output: _Array,
    indices: NDArray[np.int32],
    x: _Array,
    weight: _Array,
    stride: _Pair,
    padding: _Sides,
    dilation: _Pair,
    groups: int,
    window: PoolWindow,
    grad_x: _Array | None,
    grad_weight: _Array | None,
) -> bool: ...
def fastest_conv2d(
    weight_shape: tuple[int, int, int, int],
    stride: _Pair,
    padding: _Sides,
    dilation: _Pair,
    groups: int,
    batch: int,
    size: _Pair,
    weights_stay: bool,
) -> str: ...

class PackedConv2d:
    def __init__(
        self,
        weight: _Array,
        bias: _Array | None,
        stride: _Pair,
        padding: _Sides,
        dilation: _Pair,
        groups: int,
        activation: _Activation,
        algorithm: str = "direct",
        batch: int = 1,
        size: _Pair = (0, 0),
        weights_stay: bool = True,
    ) -> None: ...
    @property
    def algorithm(self) -> str: ...
    def output_size(self, batch: int, channels: int, size: _Pair) -> tuple[int, int, int, int]: ...
    def run(self, x: _Array, residual: _Array | None, out: _Array) -> None: ...

class PooledConv2d:
    def __init__(
        self,
        weight: _Array,
        bias: _Array | None,
        padding: _Sides,
        activation: _Activation,
        algorithm: str,
    ) -> None: ...
    @property
    def algorithm(self) -> str: ...

# pool
class PoolWindow:
    def __init__(
        self,
        kernel: _Pair,
        stride: _Pair,
        padding: _Sides,
        dilation: _Pair,
        rounding: str,  # "down", "up" or "caffe"
        count_include_pad: bool,
    ) -> None: ...

def pool_output_size(operation: str, h: int, w: int, window: PoolWindow) -> _Pair: ...
def max_pool2d(
    x: _Array, window: PoolWindow, out: _Array, indices: NDArray[np.int32] | None = None
) -> None: ...
def max_pool2d_backward(
    grad_output: _Array, indices: NDArray[np.int32], window: PoolWindow | None, out: _Array
) -> None: ...
def avg_pool2d(x: _Array, window: PoolWindow, out: _Array) -> None: ...
def avg_pool2d_backward(grad_output: _Array, window: PoolWindow, out: _Array) -> None: ...
def adaptive_avg_pool2d(x: _Array, out: _Array) -> None: ...
def adaptive_avg_pool2d_backward(grad_output: _Array, out: _Array) -> None: ...
def global_avg_pool2d(x: _Array, out: _Array) -> None: ...

# norm: the last axis of x is the channels
def batch_norm(
    x: _Array,
    mean: _Array,
    var: _Array,
    weight: _Array | None,
    bias: _Array | None,
    eps: float,
    activation: _Activation,
    out: _Array,
) -> None: ...
def batch_norm_training(
    x: _Array,
    weight: _Array | None,
    bias: _Array | None,
    eps: float,
    activation: _Activation,
    residual: _Array | None,
    out: _Array,
    mean: _Array,
    var: _Array,
) -> None: ...
def batch_norm_backward(
    grad_output: _Array,
    x: _Array,
    mean: _Array,
    var: _Array,
    weight: _Array | None,
    eps: float,
    training: bool,
    relu: bool,
    bias: _Array | None,
    output: _Array | None,
    grad_x: _Array,
    grad_weight: _Array,
    grad_bias: _Array,
    grad_residual: _Array | None,
) -> None: ...
def local_response_norm(
    x: _Array, size: int, alpha: float, beta: float, k: float, out: _Array
) -> None: ...
def local_response_norm_backward(
    grad_output: _Array, x: _Array, size: int, alpha: float, beta: float, k: float, out: _Array
) -> None: ...

# activation: flat arrays; prelu's x is (outer, channels, inner)
def activate(x: _Array, activation: _Activation, out: _Array) -> None: ...
def activate_backward(
    grad_output: _Array, x: _Array, activation: _Activation, out: _Array
) -> None: ...
def sigmoid(x: _Array, out: _Array) -> None: ...
def sigmoid_backward(grad_output: _Array, y: _Array, out: _Array) -> None: ...
def tanh(x: _Array, out: _Array) -> None: ...
def tanh_backward(grad_output: _Array, y: _Array, out: _Array) -> None: ...
def prelu(x: _Array, weight: _Array, out: _Array) -> None: ...
def prelu_backward(
    grad_output: _Array, x: _Array, weight: _Array, grad_x: _Array, grad_weight: _Array
) -> None: ...

# loss: softmax's x and y are (outer, classes, inner)
def softmax(x: _Array, out: _Array) -> None: ...
def softmax_backward(grad_output: _Array, y: _Array, out: _Array) -> None: ...
def log_softmax(x: _Array, out: _Array) -> None: ...
def log_softmax_backward(grad_output: _Array, y: _Array, out: _Array) -> None: ...
def cross_entropy(
    logits: _Array,
    target: NDArray[np.int64],
    reduction: str,
    ignore_index: int,
    label_smoothing: float,
    out: _Array,
) -> None: ...
def cross_entropy_backward(
    grad_output: _Array,
    logits: _Array,
    target: NDArray[np.int64],
    reduction: str,
    ignore_index: int,
    label_smoothing: float,
    out: _Array,
) -> None: ...

# optim: arrays of params, and of all that is not grads, change in place
def sgd_step(
    params: Sequence[_Array],
    grads: Sequence[_Array],
    velocities: Sequence[_Array] | None,
    lr: float,
    momentum: float,
    dampening: float,
    weight_decay: float,
    nesterov: bool,
    first: bool,
    lr_in_velocity: bool,
) -> None: ...
def adam_step(
    params: Sequence[_Array],
    grads: Sequence[_Array],
    exp_avgs: Sequence[_Array],
    exp_avg_sqs: Sequence[_Array],
    step: int,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
    decoupled: bool,
) -> None: ...
def average_step(averages: Sequence[_Array], params: Sequence[_Array], decay: float) -> None: ...
def sum_of_squares(arrays: Sequence[_Array]) -> float: ...

# random
def dropout(x: _Array, p: float, seed: int, out: _Array) -> None: ...
def dropout_channels_last(x: _Array, p: float, seed: int, out: _Array) -> None: ...

# elementwise
def add(x: _Array, y: _Array, activation: _Activation, out: _Array) -> None: ...

# layout
def nchw_to_nhwc(x: _Array, out: _Array) -> None: ...
def nhwc_to_nchw(x: _Array, out: _Array) -> None: ...
def concat(xs: Sequence[_Array], axis: int, out: _Array) -> None: ...
def pad(x: _Array, sides: _Sides, value: float, out: _Array) -> None: ...
def pad_backward(grad_output: _Array, sides: _Sides, out: _Array) -> None: ...

# network: every add_ appends a step; the last view is what it writes
def measure_read_bandwidth(seconds: float = 0.1) -> float: ...

class View:
    def __init__(
        self,
        memory: str,  # "arena", "input" or "output"
        offset: int,
        pixel: int,
        size: tuple[int, int, int, int],  # n, h, w, c
    ) -> None: ...

class Network:
    def __init__(
        self,
        input: View,
        input_shape: Sequence[int],
        output_shape: Sequence[int],
        arena_floats: int,
        threads: int,
        turn_floats: int = 0,
    ) -> None: ...
    def begin_turn(self) -> None: ...
    def end_turns(self) -> None: ...
    def run(self, x: _Array | NDArray[np.uint8], out: _Array | None = None) -> _Array: ...
    def run_timed(self, x: _Array | NDArray[np.uint8]) -> NDArray[np.float64]: ...
    def set_byte_table(self, table: _Array, channels: int) -> None: ...
    def add_conv2d(
        self, conv: PackedConv2d, x: View, residual: View | None, y: View, pools: bool = False
    ) -> None: ...
    def add_conv2d_max_pool2d(self, conv: PooledConv2d, x: View, y: View) -> None: ...
    def add_linear(self, linear: PackedLinear, x: View, y: View) -> None: ...
    def add_max_pool2d(self, window: PoolWindow, x: View, y: View) -> None: ...
    def add_avg_pool2d(self, window: PoolWindow, x: View, y: View) -> None: ...
    def add_adaptive_avg_pool2d(self, x: View, y: View) -> None: ...
    def add_local_response_norm(
        self, size: int, alpha: float, beta: float, k: float, x: View, y: View
    ) -> None: ...
    def add_affine(
        self, scale: _Array, shift: _Array, activation: _Activation, x: View, y: View
    ) -> None: ...
    def add_activation(self, activation: _Activation, x: View, y: View) -> None: ...
    def add_sigmoid(self, x: View, y: View) -> None: ...
    def add_tanh(self, x: View, y: View) -> None: ...
    def add_prelu(self, shape: tuple[int, int, int], slope: _Array, x: View, y: View) -> None: ...
    def add_addition(self, activation: _Activation, a: View, b: View, y: View) -> None: ...
    def add_arithmetic(
        self,
        function: str,
        axes: list[tuple[int, int, int]],
        a: View | None,
        b: View | None,
        constant: _Array | None,
        y: View,
    ) -> None: ...
    def add_gather(
        self, axes: list[tuple[int, int, int]], first: int, x: View, y: View
    ) -> None: ...
    def add_take(self, channels: list[int], x: View, y: View) -> None: ...
    def add_softmax(
        self, shape: tuple[int, int, int], logarithm: bool, x: View, y: View
    ) -> None: ...
    def add_copy(self, x: View, y: View) -> None: ...
    def add_pad(self, sides: _Sides, value: float, x: View, y: View) -> None: ...
    def add_to_nchw(self, x: View, y: View) -> None: ...
    def add_to_nhwc(self, x: View, y: View) -> None: ...
