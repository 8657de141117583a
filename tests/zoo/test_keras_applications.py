"""keras-applications' weights under its names and ours, in the layouts of every backend."""

from __future__ import annotations

import numpy as np
import pytest

from fastconv import models, zoo
from fastconv.zoo.schemes.keras_applications import SCHEMES
from keras_files import write_h5

RNG = np.random.default_rng(2)
VGG16 = [f"block{b}_conv{n}" for b, d in enumerate((2, 2, 3, 3, 3), 1) for n in range(1, d + 1)]


def random(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def laid_out(kernel, order, theano):
    """A kernel of ours as a file has it."""
    kernel = kernel[:, :, ::-1, ::-1] if theano else kernel
    return kernel if order == "th" else kernel.transpose(2, 3, 1, 0)


@pytest.mark.parametrize(
    "name, order, theano",
    [
        ("vgg16_weights_th_dim_ordering_th_kernels.h5", "th", True),
        ("vgg16_weights_th_dim_ordering_tf_kernels.h5", "th", False),
        ("vgg16_weights_tf_dim_ordering_th_kernels.h5", "tf", True),
        ("vgg16_weights_tf_dim_ordering_tf_kernels.h5", "tf", False),
    ],
)
def test_vgg16(tmp_path, name, order, theano):
    # Names, ranks and fc1's rows make the scheme; few channels keep the test small.
    kernels = {layer: random(3, 2, 3, 3) for layer in VGG16}
    full = {"fc1": random(512 * 49, 2), "fc2": random(2, 3), "predictions": random(3, 4)}
    weights = {
        layer: [(f"{layer}_W_1:0", laid_out(kernel, order, theano)), (f"{layer}_b_1:0", random(3))]
        for layer, kernel in kernels.items()
    }
    for layer, weight in full.items():
        weights[layer] = [(f"{layer}_W_1:0", weight), (f"{layer}_b_1:0", random(weight.shape[1]))]
    archive = zoo.read(write_h5(tmp_path / name, weights, version=None, backend=None))
    (scheme,) = [scheme for scheme in SCHEMES if scheme.matches(archive)]
    assert scheme.name == "keras-applications vgg16"
    state = scheme.state_dict(archive)
    assert state.keys() == models.vgg16(10).state_dict().keys()
    np.testing.assert_array_equal(state["features.28.weight"], kernels["block5_conv3"])
    np.testing.assert_array_equal(state["features.5.bias"], weights["block2_conv1"][1][1])
    np.testing.assert_array_equal(state["classifier.6.weight"], full["predictions"].T)
    maps = random(1, 512, 7, 7)
    rows = (maps if order == "th" else maps.transpose(0, 2, 3, 1)).reshape(1, -1)
    np.testing.assert_allclose(
        maps.reshape(1, -1) @ state["classifier.0.weight"].T,
        rows @ full["fc1"],
        rtol=1e-3,
        atol=1e-3,
    )


def test_resnet50_of_2015_from_theano(tmp_path):
    ours = models.resnet50(num_classes=3, variant="keras-2015").eval()
    state = ours.state_dict()
    for key, array in state.items():
        if key.endswith("running_var"):
            array[...] = RNG.uniform(0.5, 1.5, array.shape)
        elif key.endswith("running_mean"):
            array[...] = RNG.uniform(-0.1, 0.1, array.shape)

    def name(kind, stage, block, part):
        return f"{kind}{stage + 1}{'abcdef'[block]}_branch{part}"

    pairs = [("conv1", "bn_conv1", "conv1", "bn1")]
    for stage, depth in enumerate((3, 4, 6, 3), 1):
        for block in range(depth):
            here = f"layer{stage}.{block}"
            parts = {f"2{'abc'[k]}": (f"conv{k + 1}", f"bn{k + 1}") for k in range(3)}
            if block == 0:
                parts["1"] = ("downsample.0", "downsample.1")
            for part, (conv, norm) in parts.items():
                conv, norm = f"{here}.{conv}", f"{here}.{norm}"
                pairs.append(
                    (*(name(kind, stage, block, part) for kind in ("res", "bn")), conv, norm)
                )
    weights = {}
    for conv, norm, our_conv, our_norm in pairs:
        bias = random(len(state[f"{our_conv}.weight"]))
        weights[conv] = [
            (f"{conv}_W", laid_out(state[f"{our_conv}.weight"], "th", True)),
            (f"{conv}_b", bias),
        ]
        weights[norm] = [
            (f"{norm}_gamma", state[f"{our_norm}.weight"]),
            (f"{norm}_beta", state[f"{our_norm}.bias"]),
            (f"{norm}_running_mean", state[f"{our_norm}.running_mean"] + bias),
            (f"{norm}_running_std", state[f"{our_norm}.running_var"] + np.float32(1e-5 - 1e-3)),
        ]
    weights["fc1000"] = [("fc1000_W", state["fc.weight"].T), ("fc1000_b", state["fc.bias"])]
    path = tmp_path / "resnet50_weights_th_dim_ordering_th_kernels.h5"
    net = zoo.load(write_h5(path, weights, version=None, backend=None))
    for key, array in net.state_dict().items():
        np.testing.assert_allclose(array, state[key], rtol=1e-5, atol=1e-6, err_msg=key)
    assert net.preset.order == "BGR"
    start = zoo.read_pretrained(path, "resnet50")
    assert start.options == {"variant": "keras-2015", "conv1_bias": False}
    assert start.preset == net.preset and start.weights.keys() == state.keys()
    x = random(1, 3, 224, 224)
    assert ours.maxpool(ours.conv1(x)).shape == (1, 64, 55, 55)

    weights["bn_conv1"][0] = ("bn_conv1_gamma", np.ones(1, np.float32))
    with pytest.raises(zoo.FormatError, match="as many channels .layer=bn_conv1"):
        zoo.load(write_h5(path, weights, version=None, backend=None))


def test_networks_without_their_last_layers_are_none_of_these(tmp_path):
    weights = {layer: [(f"{layer}/kernel:0", random(3, 3, 2, 3))] for layer in VGG16}
    with pytest.raises(zoo.FormatError, match="must be those of a known network"):
        zoo.load(write_h5(tmp_path / "vgg16_notop.h5", weights))
