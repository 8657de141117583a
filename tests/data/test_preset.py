"""Presets and predictions."""

from __future__ import annotations

import numpy as np
import pytest

from fastconv import nn
from fastconv.data import Preset

pytest.importorskip("PIL")
PHOTO = np.random.default_rng(3).integers(0, 256, (30, 40, 3)).astype(np.uint8)


def test_numbers_enter_in_their_order():
    preset = Preset((30, 40), None, "BGR", (1, 2, 3), (0.5, 1, 2))
    expected = (PHOTO[:, :, ::-1].astype(np.float32) - [1, 2, 3]) * [0.5, 1, 2]
    np.testing.assert_allclose(preset.prepare(PHOTO), expected.transpose(2, 0, 1), rtol=1e-6)


def test_a_batch_of_what_was_cut_out():
    for preset in (
        Preset.caffe(24, 28),
        Preset.imagenet(24, 28),
        Preset((30, 40), None, "L", (3,), (2,)),
    ):
        cut = np.stack([preset.cut(PHOTO), preset.cut(PHOTO[::-1])])
        assert cut.dtype == np.uint8 and cut.shape == (2, *preset.size, 3)
        found = preset.normalize(cut)
        np.testing.assert_array_equal(found, preset.batch([PHOTO, PHOTO[::-1]]))
        assert found.transpose(0, 2, 3, 1).flags.c_contiguous
    for wrong in (cut[0], cut.astype(np.float32), cut[:, :, :, :1]):
        with pytest.raises(TypeError, match=r"Preset.normalize: .*\(N, H, W, 3\) of uint8"):
            preset.normalize(wrong)


def test_the_centre_is_cut_out():
    preset = Preset((10, 20), 30, mean=(0, 0, 0), scale=(1, 1, 1))
    np.testing.assert_array_equal(preset.prepare(PHOTO), PHOTO[10:20, 10:30].transpose(2, 0, 1))


def test_the_shorter_side_is_resized(tmp_path):
    from PIL import Image

    Image.fromarray(PHOTO).save(tmp_path / "photo.png")
    preset = Preset((12, 12), 15, mean=(0, 0, 0), scale=(1, 1, 1))
    small = np.asarray(Image.fromarray(PHOTO).resize((20, 15), Image.Resampling.BILINEAR))
    expected = small[1:13, 4:16].transpose(2, 0, 1)
    np.testing.assert_array_equal(preset.prepare(tmp_path / "photo.png"), expected)
    assert preset.batch([PHOTO, tmp_path / "photo.png"]).shape == (2, 3, 12, 12)


def test_grey_is_luma():
    grey = Preset((30, 40), None, "L", (0,), (1,)).prepare(PHOTO)
    from PIL import Image

    assert np.abs(grey[0] - np.asarray(Image.fromarray(PHOTO).convert("L"))).max() <= 1


def test_imagenet_is_torchvisions():
    x = Preset.imagenet().prepare(np.full((256, 256, 3), 128, np.uint8))
    expected = (128 / 255 - np.array([0.485, 0.456, 0.406])) / [0.229, 0.224, 0.225]
    np.testing.assert_allclose(x[:, 7, 9], expected, rtol=1e-5)


def test_survives_json():
    import json

    preset = Preset.caffe(227, None)
    assert Preset(**json.loads(json.dumps(preset.to_dict()))) == preset


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"order": "GBR"}, "order must be one of"),
        ({"mean": (0,)}, "one value per channel"),
        ({"resize": 100}, "must not be smaller"),
        ({"size": (224, 0)}, "size must be at least 1"),
        ({"mean": (0, 0, float("nan"))}, "mean must be finite"),
    ],
)
def test_bad_presets(wrong, message):
    with pytest.raises(ValueError, match=message):
        Preset(**wrong)


def test_what_is_no_photo():
    preset = Preset((2, 2), None)
    with pytest.raises(TypeError, match=r"a photo must be a file, .*\(found=\(\(8, 8\)"):
        preset.batch(np.zeros((8, 8), np.uint8))
    with pytest.raises(TypeError, match="found=.*int"):
        preset.batch(3)
    with pytest.raises(ValueError, match="there must be a photo"):
        preset.batch([])
    with pytest.raises(ValueError, match=r"must have pixels \(shape=\(0, 8, 3\)\)"):
        preset.prepare(np.zeros((0, 8, 3), np.uint8))
    with pytest.raises(TypeError, match="Preset: size must be an integer"):
        Preset(size=(224.5, 224))
    with pytest.raises(TypeError, match=r"Preset: size must be \(height, width\) \(size=224\)"):
        Preset(size=224)


def test_pictures_opened_with_pillow(tmp_path):
    image_module = pytest.importorskip("PIL.Image", reason="needs Pillow")
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    preset = Preset((7, 5), None)
    exif = image_module.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    image_module.fromarray(pixels).save(tmp_path / "turned.png", exif=exif)
    with image_module.open(tmp_path / "turned.png") as opened:
        turned = preset.batch(opened)
    np.testing.assert_array_equal(turned[0], np.rot90(pixels, -1).transpose(2, 0, 1))
    np.testing.assert_array_equal(turned, preset.batch(tmp_path / "turned.png"))


def sorter() -> nn.Module:
    net = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 3, bias=False))
    net[2].weight.data[:] = np.eye(3)
    net.preset = Preset((30, 40), None, scale=(1 / 255,) * 3)
    net.classes = ("red", "green", "blue")
    return net


def test_predicts_the_best_first():
    photo = np.zeros((30, 40, 3), np.uint8)
    photo[:, :, 2] = 255
    net = sorter()
    best = net.predict(photo, top=2)
    assert [p.name for p in best] == ["blue", "red"]
    assert best[0].number == 2
    assert best[0].probability == pytest.approx(np.e / (np.e + 2))
    for several in ([photo, photo], np.stack([PHOTO, PHOTO]), iter([photo, photo])):
        assert len(net.predict(several)) == 2
    assert [b[0].name for b in net.predict([photo, photo])] == ["blue", "blue"]
    assert net.training


def test_probabilities_stay_as_they_are():
    net = sorter()
    net.append(nn.Softmax(1))
    net.append(nn.Identity())
    plain = sorter().predict(PHOTO)
    assert net.predict(PHOTO)[0].probability == pytest.approx(plain[0].probability)


def test_prediction_needs_a_preset():
    net = sorter()
    net.preset = None
    with pytest.raises(ValueError, match="net.preset"):
        net.predict(PHOTO)
    net = sorter()
    net.classes = ("one",)
    with pytest.raises(ValueError, match="must name every output"):
        net.predict(PHOTO)
