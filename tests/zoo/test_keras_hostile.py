"""Keras's files that are damaged, foreign or hostile: refused in words, whatever they hold."""

from __future__ import annotations

import copy
import itertools
import sys
import zipfile
from functools import partial

import h5py
import numpy as np
import pytest

from fastconv import zoo
from fastconv.zoo.keras import hdf5
from fastconv.zoo.keras.attach import by_name
from fastconv.zoo.keras.network import archive
from fastconv.zoo.readers import keras_h5, keras_v3, reader_of
from keras_files import functional, h5_of_variables, layer, node, write_h5, write_keras

RNG = np.random.default_rng(5)


def dense(**options):
    config = [layer("Dense", "fc", batch_input_shape=[None, 3], **options)]
    return {"class_name": "Sequential", "config": config}


WEIGHTS = {"fc": [("fc/kernel:0", np.ones((3, 2), np.float32)), ("fc/bias:0", np.ones(2, "f4"))]}


def refused(path, match="keras: |zoo: "):
    with pytest.raises(zoo.FormatError, match=match):
        zoo.load(path)


# Containers.


def test_readers_know_files_by_content(tmp_path, monkeypatch):
    h5 = write_h5(tmp_path / "a", WEIGHTS, dense())
    keras = write_keras(tmp_path / "b", dense(), {"layers/dense/vars/0": np.ones((3, 2))})
    other = tmp_path / "c"
    with zipfile.ZipFile(other, "w") as file:
        file.writestr("config.json", "{}")
    monkeypatch.setitem(sys.modules, "h5py", None)
    assert [reader_of(path) for path in (h5, keras)] == [keras_h5, keras_v3]
    refused(other, "must be of a format that the zoo knows")
    for path in (h5, keras):
        with pytest.raises(ImportError, match=r"h5py: pip install 'fastconv\[zoo\]'"):
            zoo.load(path)


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.7, 0.9, 0.99])
@pytest.mark.parametrize("write", ["h5", "keras"])
def test_truncated(tmp_path, write, share):
    path = tmp_path / "net"
    if write == "h5":
        write_h5(path, WEIGHTS, dense())
    else:
        write_keras(path, dense(), {"layers/dense/vars/0": np.ones((3, 2), np.float32)})
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    refused(path)


def test_hdf5_of_others(tmp_path):
    with h5py.File(tmp_path / "net.h5", "w") as file:
        file["data"] = np.ones(3)
    refused(tmp_path / "net.h5", "must be of Keras")


@pytest.mark.parametrize(
    "kind", ["external", "soft", "raw", "virtual", "unstored", "text", "group"]
)
def test_weights_must_lie_in_the_file(tmp_path, kind):
    path = write_h5(tmp_path / "net.h5", WEIGHTS, dense())
    other = tmp_path / "secret.h5"
    with h5py.File(other, "w") as file:
        file["kernel"] = np.ones((3, 2), np.float32)
    (tmp_path / "secret.raw").write_bytes(bytes(24))
    with h5py.File(path, "r+") as file:
        group = file["model_weights/fc/fc"]
        del group["kernel:0"]
        if kind == "external":
            group["kernel:0"] = h5py.ExternalLink(str(other), "kernel")
        elif kind == "soft":
            group["kernel:0"] = h5py.SoftLink("/model_weights/fc/fc/bias:0")
        elif kind == "raw":
            external = [(str(tmp_path / "secret.raw"), 0, 24)]
            group.create_dataset("kernel:0", (3, 2), "f4", external=external)
        elif kind == "virtual":
            layout = h5py.VirtualLayout((3, 2), "f4")
            layout[:] = h5py.VirtualSource(str(other), "kernel", (3, 2))
            group.create_virtual_dataset("kernel:0", layout)
        elif kind == "unstored":
            group.create_dataset("kernel:0", (1 << 24, 1 << 24), "f4", chunks=(1024, 1024))
        elif kind == "text":
            group["kernel:0"] = "weights"
        else:
            group.create_group("kernel:0")
    refused(path, "keras: (a weight|weights|a text) must")


def test_groups_in_a_circle(tmp_path):
    path = tmp_path / "net.weights.h5"
    h5_of_variables({"layers/dense/vars/0": np.ones((3, 2))}, path)
    with h5py.File(path, "r+") as file:
        file["layers/dense/inner"] = file["layers"]
    refused(path, "circle")


def test_names_that_are_not_there(tmp_path):
    path = write_h5(tmp_path / "net.h5", WEIGHTS, dense())
    with h5py.File(path, "r+") as file:
        file["model_weights/fc"].attrs["weight_names"] = [b"fc/kernel:0", b"fc/other:0"]
    refused(path, "missing='fc/other:0'")
    with h5py.File(path, "r+") as file:
        del file["model_weights/fc"].attrs["weight_names"]
    refused(path, "weight_names")
    with h5py.File(path, "r+") as file:
        file["model_weights"].attrs["layer_names"] = [3, 4]
    refused(path, "must be a text")


def test_zip_parts(tmp_path):
    path = write_keras(tmp_path / "net.keras", dense(), b"")
    refused(path, "whole HDF5")
    with zipfile.ZipFile(path, "w") as file:
        for name in ("config.json", "metadata.json", "model.weights.npz"):
            file.writestr(name, "{}")
    refused(path, "pickles.*model.weights.npz")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("metadata.json", "{}")
        file.writestr("config.json", " " * (1 << 20))
    refused(path, "compressed")


# Descriptions.


@pytest.mark.parametrize("content", ["{", "[" * 100_000, '{"class_name": "Sequential"}', "3", None])
def test_descriptions_that_are_none(tmp_path, content):
    path = write_h5(tmp_path / "net.h5", WEIGHTS, {})
    with h5py.File(path, "r+") as file:
        file.attrs["model_config"] = 7 if content is None else content
    refused(path)


@pytest.mark.parametrize(
    "entry, match",
    [
        ({"class_name": "Lambda", "config": {"name": "mine", "function": ["4wEA"]}}, "Lambda"),
        ({**layer("Dense", "fc"), "registered_name": "mine>Dense"}, "own.*mine>Dense"),
        ({**layer("Dense", "fc"), "module": "mine.layers"}, "own.*mine.layers"),
        ({**layer("Add", "fc"), "module": "keras.src.ops.numpy"}, "own.*ops"),
        (layer("Dense", "fc", activation={"class_name": "Custom", "config": {}}), "Keras's own"),
        (layer("Dense", "fc", activation=["4wEA", None]), "activation must be"),
        (layer("Dense", "fc", use_bias=False), "must have 1 weights"),
        (layer("Dense", "fc", use_bias="no"), "true or false"),
        (layer("LSTM", "fc"), "'fc' .LSTM.*one that this library can build"),
    ],
)
def test_layers_that_are_refused(tmp_path, entry, match):
    config = [layer("InputLayer", "in", batch_input_shape=[None, 3]), entry]
    path = write_h5(tmp_path / "net.h5", WEIGHTS, {"class_name": "Sequential", "config": config})
    refused(path, match)


@pytest.mark.parametrize(
    "reads, outputs, match",
    [
        ({"a": "b", "b": "a"}, "b", "circle"),
        ({"a": "a", "b": "in"}, "b", "circle"),
        ({"a": "in", "b": "nobody"}, "b", "network's layers"),
        ({"a": "in", "b": ("a", 3)}, "b", "others compute"),
        ({"a": "in", "b": "in"}, "nobody", "network's layers"),
    ],
)
def test_values_that_nobody_computes(tmp_path, reads, outputs, match):
    nodes = [node("InputLayer", "in", batch_input_shape=[None, 3])]
    nodes += [node("Activation", name, [[read]], activation="tanh") for name, read in reads.items()]
    config = functional(*nodes, inputs=["in"], outputs=[outputs])
    refused(write_h5(tmp_path / "net.h5", {}, config), match)


def test_networks_too_large_to_be_true(tmp_path):
    for shape in ([None, 1 << 40], [None, 1 << 20, 1 << 20, 3], [None], [None, -3], "many", None):
        config = [layer("InputLayer", "in", batch_input_shape=shape), layer("Flatten", "flat")]
        path = write_h5(tmp_path / "net.h5", {}, {"class_name": "Sequential", "config": config})
        refused(path, "declare its shape")
    config = [
        layer("InputLayer", "in", batch_input_shape=[None, 4, 4, 1]),
        layer("ZeroPadding2D", "pad", padding=[1 << 40, 1]),
    ]
    path = write_h5(tmp_path / "net.h5", {}, {"class_name": "Sequential", "config": config})
    refused(path, "at most")


WHOLE = functional(
    node("InputLayer", "in", batch_input_shape=[None, 6, 6, 2]),
    node(
        "Conv2D",
        "conv",
        [["in"]],
        filters=3,
        kernel_size=[3, 3],
        padding="same",
        strides=[1, 1],
        dilation_rate=[1, 1],
        use_bias=True,
        activation="relu",
    ),
    node("BatchNormalization", "bn", [["conv"]], axis=-1, epsilon=1e-3, scale=True, center=True),
    node("MaxPooling2D", "pool", [["bn"]], pool_size=[2, 2], strides=[2, 2], padding="valid"),
    node("ZeroPadding2D", "pad", [["pool"]], padding=[[0, 1], [1, 0]]),
    node("DepthwiseConv2D", "depth", [["pad"]], kernel_size=2, padding="valid", use_bias=False),
    node("LeakyReLU", "leaky", [["depth"]], alpha=0.1),
    node("Concatenate", "cat", [["leaky", "depth"]], axis=-1),
    node("Rescaling", "scale", [["cat"]], scale=2.0, offset=[0.5] * 6),
    node("Flatten", "flat", [["scale"]], data_format="channels_last"),
    node("Reshape", "shape", [["flat"]], target_shape=[3, 3, 6]),
    node("Permute", "permute", [["shape"]], dims=[2, 1, 3]),
    node("GlobalAveragePooling2D", "mean", [["permute"]]),
    node("Dense", "fc", [["mean"]], units=2, use_bias=True, activation="softmax"),
    inputs=["in"],
    outputs=["fc"],
)
WHOLE_WEIGHTS = {
    "conv": [("conv/kernel:0", np.ones((3, 3, 2, 3), "f4")), ("conv/bias:0", np.ones(3, "f4"))],
    "bn": [(f"bn/{name}:0", np.ones(3, "f4")) for name in ("gamma", "beta", "mean", "variance")],
    "depth": [("depth/kernel:0", np.ones((2, 2, 3, 1), "f4"))],
    "fc": [("fc/kernel:0", np.ones((6, 2), "f4")), ("fc/bias:0", np.ones(2, "f4"))],
}


def places(value, path=()):
    """Paths to everything inside JSON."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, part in items:
        yield (*path, key)
        if isinstance(part, dict | list):
            yield from places(part, (*path, key))


def changed(value, path, new):
    value = copy.deepcopy(value)
    here = value
    for key in path[:-1]:
        here = here[key]
    here[path[-1]] = new
    return value


ANYTHING = [None, -1, 0, 1 << 70, 1.5, "x", [], [[]], {}, {"config": 3}, True, ["in", 0, 0]]


def test_any_setting_may_be_anything(tmp_path):
    """Every part of a description becomes something else: built or refused, never anything else."""
    found = zoo.read(write_h5(tmp_path / "net.h5", WHOLE_WEIGHTS, WHOLE))
    layers = found.metadata["layers"]
    x = np.ones((1, 2, 6, 6), np.float32)
    refusals = 0
    for where, value in itertools.product(places(WHOLE), ANYTHING):
        description = changed(WHOLE, where, value)
        attach = partial(by_name, groups=layers)
        try:
            again = archive(
                found.format, found.path, found.tensors, layers, "2", None, description, attach
            )
            again.build()(x)
        except (ValueError, TypeError) as error:
            refusals += 1
            assert ": " in str(error) and "(" in str(error), (where, value, error)
    assert refusals > 1000


def test_weights_of_other_shapes(tmp_path):
    for name, arrays in WHOLE_WEIGHTS.items():
        for place, (key, array) in enumerate(arrays):
            for wrong in (array[:1], array[None], array.ravel()[:0], np.float32(1)):
                weights = dict(WHOLE_WEIGHTS)
                weights[name] = [*arrays[:place], (key, wrong), *arrays[place + 1 :]]
                path = write_h5(tmp_path / "net.h5", weights, WHOLE)
                with pytest.raises(zoo.FormatError, match=f"layer '{name}'"):
                    zoo.load(path)


def test_networks_that_double_without_end(tmp_path):
    inside = None
    for depth in range(30):
        twice = [node("InputLayer", "in", batch_input_shape=[None, 3])]
        if inside is None:
            twice.append(node("Dropout", "out", [["in"]], rate=0.5))
        else:
            twice.append({**inside, "name": "deep", "inbound_nodes": [[["in", 0, 0]]]})
            twice[-1]["inbound_nodes"].append([["deep", 0, 0]])
        end = ["out", 0, 0] if inside is None else ["deep", 1, 0]
        inside = functional(*twice, inputs=["in"], outputs=["out"], name=f"net{depth}")
        inside["config"]["output_layers"] = [end]
        inside["config"]["name"] = "deep"
    refused(write_h5(tmp_path / "net.h5", {}, inside), "at most 10000 calls")


def test_layers_inside_must_not_have_the_names_of_others(tmp_path):
    inside = {"name": "a", "layers": [layer("Dense", "b", batch_input_shape=[None, 3])]}
    config = [
        {"class_name": "Sequential", "config": inside},
        layer("Dense", "a/b"),
    ]
    path = write_h5(tmp_path / "net.h5", {}, {"class_name": "Sequential", "config": config})
    refused(path, "names of their own")


def test_attributes_of_sizes_that_no_name_has(tmp_path, monkeypatch):
    # A damaged header declares what no library would write.
    monkeypatch.setattr(hdf5, "_ATTRIBUTE", 10)
    path = write_h5(tmp_path / "net.h5", WEIGHTS, dense())
    refused(path, "an attribute must have at most 10 bytes .name='weight_names', bytes=")


# Texts in heaps, where HDF5 itself trusts what it reads.


def text_in_a_heap(tmp_path):
    path = tmp_path / "net.h5"
    with h5py.File(path, "w") as file:
        file.attrs["keras_version"] = "2.2.4"  # a str has variable length, and lies in a heap
        file.attrs["layer_names"] = ["fc"]
    return path, path.read_bytes()


def test_heaps_that_never_end(tmp_path):
    path, whole = text_in_a_heap(tmp_path)
    heap = whole.index(b"GCOL")
    entries = [heap + 16]
    while int.from_bytes(whole[entries[-1] : entries[-1] + 2], "little"):
        length = int.from_bytes(whole[entries[-1] + 8 : entries[-1] + 16], "little")
        entries.append(entries[-1] + 16 + -(-length // 8) * 8)
    free = entries[-1] + 8
    path.write_bytes(whole[:free] + bytes(8) + whole[free + 8 :])
    refused(path, "an entry of an HDF5 heap must have a length")


def test_texts_longer_than_the_file(tmp_path):
    path, whole = text_in_a_heap(tmp_path)
    reference = whole.index((5).to_bytes(4, "little") + whole.index(b"GCOL").to_bytes(8, "little"))
    path.write_bytes(whole[: reference + 3] + b"\x20" + whole[reference + 4 :])
    refused(path, r"a text must lie in the file .*bytes=536870917")


def test_addresses_of_another_length(tmp_path):
    path, whole = text_in_a_heap(tmp_path)
    path.write_bytes(whole[:13] + b"\x04" + whole[14:])
    refused(path, "must have 8 bytes .addresses=4, lengths=8")
