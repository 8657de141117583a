"""Layers: what they compute, what they refuse, and gradients of small networks of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastconv
from fastconv import nn, reference, tensor, use_backend
from gradients import check_network


def draw(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@pytest.fixture(autouse=True)
def reference_backend() -> Any:
    fastconv.manual_seed(0)
    with use_backend("reference"):
        yield


X = draw(2, 4, 6, 7)


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (nn.MaxPool2d(3, 2, 1, ceil_mode=True), reference.max_pool2d(X, 3, 2, 1, 1, True)),
        (nn.MaxPool2d((2, 3)), reference.max_pool2d(X, (2, 3))),
        (nn.AvgPool2d(3, 2, 1, "caffe", False), reference.avg_pool2d(X, 3, 2, 1, "caffe", False)),
        (nn.AdaptiveAvgPool2d((2, None)), reference.adaptive_avg_pool2d(X, (2, None))),
        (
            nn.LocalResponseNorm(3, 0.1, 0.5, 2.0),
            reference.local_response_norm(X, 3, 0.1, 0.5, 2.0),
        ),
        (nn.ReLU(), np.maximum(X, 0)),
        (nn.LeakyReLU(0.2), np.where(X > 0, X, np.float32(0.2) * X)),
        (nn.PReLU(4), np.where(X > 0, X, np.float32(0.25) * X)),
        (nn.Sigmoid(), reference.sigmoid(X)),
        (nn.Tanh(), np.tanh(X)),
        (nn.Clip(-0.5, 0.5), np.clip(X, -0.5, 0.5)),
        (nn.Clip(min=0.5), np.maximum(X, 0.5)),
        (nn.ReLU6(), np.clip(X, 0, 6)),
        (nn.Softmax(), reference.softmax(X, 1)),
        (nn.LogSoftmax(-1), reference.log_softmax(X, -1)),
        (nn.Flatten(), X.reshape(2, -1)),
        (nn.Flatten(2), X.reshape(2, 4, -1)),
        (nn.Identity(1, a=2), X),
        (nn.ZeroPad2d((1, 2, 3, 0)), np.pad(X, ((0, 0), (0, 0), (3, 0), (1, 2)))),
        (nn.ZeroPad2d(1), np.pad(X, ((0, 0), (0, 0), (1, 1), (1, 1)))),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else "",
)
def test_layers_without_drawn_weights(layer: nn.Module, expected: Any) -> None:
    out = layer(X)
    assert out.dtype == np.float32
    np.testing.assert_allclose(out.data, expected, rtol=1e-6, atol=1e-7)


def test_conv2d_and_linear() -> None:
    conv = nn.Conv2d(4, 6, (3, 2), 2, ((1, 0), (0, 1)), 1, 2)
    expected = reference.conv2d(
        X, conv.weight.data, conv.bias.data, 2, ((1, 0), (0, 1)), 1, groups=2
    )
    np.testing.assert_array_equal(conv(X).data, expected)
    assert conv.weight.shape == (6, 2, 3, 2)
    linear = nn.Linear(7, 3, bias=False)
    assert linear.bias is None
    np.testing.assert_allclose(linear(X).data, X @ linear.weight.data.T, rtol=1e-5, atol=1e-6)


def test_conv_transpose2d_undoes_what_a_convolution_does_to_sizes() -> None:
    down, up = nn.Conv2d(4, 8, 3, 2, 1), nn.ConvTranspose2d(8, 4, 3, 2, 1, (1, 0))
    y = down(draw(2, 4, 8, 7))
    assert up(y).shape == (2, 4, 8, 7)
    assert up.weight.shape == (8, 4, 3, 3)
    assert "stride=(2, 2), padding=(1, 1), output_padding=(1, 0)" in repr(up)
    with use_backend("native"):
        native = up(y).data
    np.testing.assert_allclose(native, up(y).data, rtol=1e-5, atol=1e-6)


def test_dropout_only_trains() -> None:
    layer = nn.Dropout(0.25)
    out = layer(np.ones((100, 100), np.float32)).data
    values, counts = np.unique(out, return_counts=True)
    np.testing.assert_allclose(values, [0, 4 / 3])
    assert counts[0] == pytest.approx(2500, rel=0.1)
    assert layer.eval()(tensor(X)).data is X
    assert nn.Dropout(0)(tensor(X)).data is X
    assert not nn.Dropout(1.0)(X).data.any()


def test_batch_norm_in_training_and_inference() -> None:
    layer = nn.BatchNorm2d(4, momentum=0.25)
    out = layer(X).data
    np.testing.assert_allclose(out.mean((0, 2, 3)), 0, atol=1e-6)
    np.testing.assert_allclose(out.std((0, 2, 3)), 1, rtol=1e-4)
    np.testing.assert_allclose(layer.running_mean, 0.25 * X.mean((0, 2, 3)), rtol=1e-4, atol=1e-6)
    unbiased = X.var((0, 2, 3), ddof=1)
    np.testing.assert_allclose(layer.running_var, 0.75 + 0.25 * unbiased, rtol=1e-5)
    assert layer.num_batches_tracked == 1 and layer.num_batches_tracked.dtype == np.int64
    running = layer.running_mean.copy()
    expected = reference.batch_norm(X, running, layer.running_var, eps=1e-5)
    np.testing.assert_allclose(layer.eval()(X).data, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(layer.running_mean, running)
    layer.reset_parameters()
    assert layer.num_batches_tracked == 0 and not layer.running_mean.any()


def test_batch_norm_variants() -> None:
    layer = nn.BatchNorm2d(4, momentum=None)
    layer(X)
    layer(3 * X)
    np.testing.assert_allclose(layer.running_mean, 2 * X.mean((0, 2, 3)), rtol=1e-3, atol=1e-6)
    plain = nn.BatchNorm2d(4, affine=False, track_running_stats=False)
    assert plain.state_dict() == {} and not list(plain.parameters())
    np.testing.assert_allclose(plain.eval()(X).data, plain.train()(X).data)
    with pytest.raises(ValueError, match=r"BatchNorm2d: x must have the axes \(N, 4, H, W\)"):
        layer(draw(2, 3, 6, 7))
    message = r"training needs more than one value per channel \(shape=\(1, 4, 1, 1\)\)"
    with pytest.raises(ValueError, match=message):
        layer(draw(1, 4, 1, 1))
    layer.eval()(draw(1, 4, 1, 1))


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_losses(reduction: str) -> None:
    target = np.array([3, 1])
    logits = draw(2, 5)
    loss = nn.CrossEntropyLoss(reduction=reduction)(logits, target)
    np.testing.assert_array_equal(loss.data, reference.cross_entropy(logits, target, reduction))
    loss = nn.CrossEntropyLoss(reduction, label_smoothing=0.1)(logits, target)
    smoothed = reference.cross_entropy(logits, target, reduction, label_smoothing=0.1)
    np.testing.assert_array_equal(loss.data, smoothed)
    with pytest.raises(ValueError, match=r"label_smoothing must be from 0 to 1"):
        nn.CrossEntropyLoss(label_smoothing=1.5)
    loss = nn.MSELoss(reduction)(logits, draw(2, 5, seed=1))
    squares = (logits - draw(2, 5, seed=1)) ** 2
    expected = squares if reduction == "none" else getattr(np, reduction)(squares)
    np.testing.assert_allclose(loss.data, expected, rtol=1e-6)


def test_gradients_of_a_network_of_many_layers() -> None:
    net = nn.Sequential(
        nn.ZeroPad2d((0, 1, 0, 1)),
        nn.Conv2d(2, 4, 3, stride=1, padding=1, groups=2),
        nn.BatchNorm2d(4),
        nn.LeakyReLU(0.1),
        nn.MaxPool2d(3, 2, ceil_mode="caffe"),
        nn.LocalResponseNorm(3, alpha=0.5),
        nn.Dropout(0.3),
        nn.Conv2d(4, 3, 2, bias=False),
        nn.PReLU(3),
        nn.AvgPool2d(2, 1),
        nn.Sigmoid(),
        nn.Flatten(),
        nn.Linear(12, 5),
        nn.Tanh(),
        nn.Linear(5, 3),
    )
    loss = nn.CrossEntropyLoss()
    x, target = draw(3, 2, 7, 7), np.array([0, 2, 1])
    check_network(net, x, lambda y: loss(y, target))
    check_network(net.eval(), x, lambda y: loss(y, target))


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: nn.Conv2d(64, 6, 3, groups=3), ValueError,
         r"Conv2d: groups must divide in_channels \(groups=3, in_channels=64\)"),
        (lambda: nn.Conv2d(6, 64, 3, groups=3), ValueError,
         r"Conv2d: groups must divide out_channels \(groups=3, out_channels=64\)"),
        (lambda: nn.Conv2d(0, 6, 3), ValueError,
         r"Conv2d: in_channels must be at least 1 \(in_channels=0\)"),
        (lambda: nn.Conv2d(3, 6.0, 3), TypeError,
         r"Conv2d: out_channels must be an integer \(out_channels=6.0\)"),
        (lambda: nn.Conv2d(3, 6, (3, 3, 3)), ValueError,
         r"Conv2d: kernel_size must be an integer or a pair \(kernel_size=\(3, 3, 3\)\)"),
        (lambda: nn.Conv2d(3, 6, 3, stride=0), ValueError,
         r"Conv2d: stride must be at least 1 \(stride=0\)"),
        (lambda: nn.Conv2d(3, 6, 3, padding=-1), ValueError,
         r"Conv2d: padding must be at least 0 \(padding=-1\)"),
        (lambda: nn.Conv2d(3, 6, 3, padding=((1, 1), (1, 1), (1, 1))), ValueError,
         r"Conv2d: padding must be an integer, \(height, width\) or"),
        (lambda: nn.Conv2d(3, 6, 3, padding="same"), TypeError,
         r"Conv2d: padding must be an integer \(padding='same'\)"),
        (lambda: nn.Conv2d(3, 6, 3, bias=1), TypeError,
         r"Conv2d: bias must be True or False \(bias=1\)"),
        (lambda: nn.ConvTranspose2d(3, 6, 3, 2, 0, 2), ValueError,
         r"ConvTranspose2d: output_padding must be smaller than stride or dilation"),
        (lambda: nn.ConvTranspose2d(3, 6, 3, groups=2), ValueError,
         r"ConvTranspose2d: groups must divide in_channels \(groups=2, in_channels=3\)"),
        (lambda: nn.Linear(3, True), TypeError,
         r"Linear: out_features must be an integer \(out_features=True\)"),
        (lambda: nn.MaxPool2d(3, padding=2), ValueError,
         r"MaxPool2d: padding must be at most half the window \(padding=2, kernel_size=3\)"),
        (lambda: nn.MaxPool2d(3, ceil_mode="torch"), ValueError,
         r"MaxPool2d: ceil_mode must be False, True or 'caffe' \(ceil_mode='torch'\)"),
        (lambda: nn.AvgPool2d(0), ValueError,
         r"AvgPool2d: kernel_size must be at least 1 \(kernel_size=0\)"),
        (lambda: nn.AdaptiveAvgPool2d((1, 2, 3)), ValueError,
         r"AdaptiveAvgPool2d: output_size must be an integer or a pair"),
        (lambda: nn.AdaptiveAvgPool2d(0), ValueError,
         r"AdaptiveAvgPool2d: output_size must be at least 1"),
        (lambda: nn.LocalResponseNorm(0), ValueError,
         r"LocalResponseNorm: size must be at least 1 \(size=0\)"),
        (lambda: nn.LocalResponseNorm(5, alpha=float("nan")), ValueError,
         r"LocalResponseNorm: alpha must be finite \(alpha=nan\)"),
        (lambda: nn.BatchNorm2d(3, eps="small"), TypeError,
         r"BatchNorm2d: eps must be a number \(eps='small'\)"),
        (lambda: nn.BatchNorm2d(3, eps=-1), ValueError,
         r"BatchNorm2d: eps must not be negative \(eps=-1\)"),
        (lambda: nn.LeakyReLU(True), TypeError,
         r"LeakyReLU: negative_slope must be a number \(negative_slope=True\)"),
        (lambda: nn.PReLU(0), ValueError,
         r"PReLU: num_parameters must be at least 1 \(num_parameters=0\)"),
        (lambda: nn.Clip(1, 0), ValueError, r"Clip: min must not exceed max \(min=1, max=0\)"),
        (lambda: nn.Softmax("rows"), TypeError, r"Softmax: dim must be an integer \(dim='rows'\)"),
        (lambda: nn.Dropout(1.5), ValueError, r"Dropout: p must be from 0 to 1 \(p=1.5\)"),
        (lambda: nn.ZeroPad2d((1, 2)), ValueError,
         r"ZeroPad2d: padding must be an integer or \(left, right, top, bottom\)"),
        (lambda: nn.CrossEntropyLoss("average"), ValueError,
         r"CrossEntropyLoss: reduction must be 'mean', 'sum' or 'none' \(reduction='average'\)"),
        (lambda: nn.MSELoss("average"), ValueError, r"MSELoss: reduction must be"),
    ],
)  # fmt: skip
def test_errors(build: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        build()


class Calls:
    """The twins, and which of them were called."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def __getattr__(self, name: str) -> Any:
        self.names.append(name)
        return getattr(reference, name)


def test_sequential_joins_a_relu_with_the_layer_before() -> None:
    net = nn.Sequential(
        nn.Conv2d(4, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4), nn.ReLU(), nn.Tanh()
    )

    def called(watched: bool = False) -> tuple[list[str], Any]:
        backend = Calls()
        with use_backend(backend):
            if watched:
                with net[1].register_forward_hook(lambda *_: None):
                    y = net(tensor(X, requires_grad=True))
            else:
                y = net(tensor(X, requires_grad=True))
        return backend.names, y.data

    names, joined = called()
    assert names == ["conv2d", "conv2d", "batch_norm_training", "tanh"]
    names, watched = called(watched=True)
    assert names == ["conv2d", "relu", "conv2d", "batch_norm_training", "tanh"]
    np.testing.assert_array_equal(joined, watched)
    with fastconv.no_grad(), use_backend(backend := Calls()):
        apart = net(tensor(X)).data
    assert backend.names.count("relu") == 2
    np.testing.assert_allclose(apart, joined, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("watched", [None, 0, 1, 2])
def test_sequential_joins_a_relu_with_the_pooling_after_it(watched: int | None) -> None:
    net = nn.Sequential(nn.Conv2d(4, 3, 3), nn.ReLU(), nn.MaxPool2d(2), nn.ReLU())
    joined, apart = tensor(X, requires_grad=True), tensor(X, requires_grad=True)
    y = apart
    for layer in net:
        y = layer(y)
    y.backward(grad := draw(*y.shape, seed=3))
    expected = [p.grad for p in net.parameters()]
    for p in net.parameters():
        p.grad = None
    handle = None if watched is None else net[watched].register_forward_hook(lambda *_: None)
    with use_backend(backend := Calls()):
        z = net(joined)
    if handle is not None:
        handle.remove()
    names = ["conv2d", "max_pool2d", "relu", "relu"]
    if watched == 2:
        names = ["conv2d", "max_pool2d", "relu"]
    elif watched == 1:
        names = ["conv2d", "relu", "max_pool2d", "relu"]
    assert backend.names == names
    np.testing.assert_allclose(z.data, y.data, rtol=1e-5, atol=1e-6)
    z.backward(grad)
    np.testing.assert_allclose(joined.grad, apart.grad, rtol=1e-5, atol=1e-6)
    for p, g in zip(net.parameters(), expected, strict=True):
        np.testing.assert_allclose(p.grad, g, rtol=1e-5, atol=1e-6)
    with pytest.raises(ValueError, match="activation must be None or 'relu'"):
        net[2](tensor(X), activation="tanh")


@pytest.mark.parametrize("training", [True, False])
def test_batch_norm_with_residual_and_relu(training: bool) -> None:
    layer = nn.BatchNorm2d(4).train(training)
    residual = draw(*X.shape, seed=5)
    apart = nn.BatchNorm2d(4).train(training)
    y = layer(tensor(X), tensor(residual), activation="relu").data
    np.testing.assert_allclose(y, np.maximum(apart(tensor(X)).data + residual, 0), atol=1e-6)
    assert layer.running_mean is not None and apart.running_mean is not None
    np.testing.assert_array_equal(layer.running_mean, apart.running_mean)
    np.testing.assert_allclose(
        layer(tensor(X), activation="relu").data, np.maximum(layer(tensor(X)).data, 0), atol=1e-6
    )


def test_reshape_of_an_empty_batch() -> None:
    assert nn.Reshape(0, -1)(tensor(np.zeros((0, 3, 4), np.float32))).shape == (0, 12)
    assert nn.Reshape(0, 2, -1)(tensor(np.zeros((0, 3, 4), np.float32))).shape == (0, 2, 6)
    with pytest.raises(ValueError, match=r"Reshape: .* \(input=\(0, 3, 4\), shape=\(0, 5, -1\)\)"):
        nn.Reshape(0, 5, -1)(tensor(np.zeros((0, 3, 4), np.float32)))
