import pytest
import torch
import torch.nn.functional as F

from tests.seeds import seeded
from transfer.backbones import vgg19
from transfer.backbones.vgg import (
    CONTENT_LAYER,
    MEAN_BGR,
    MIN_EDGE_PX,
    STYLE_LAYERS,
)
from transfer.engine import Painter
from transfer.errors import ShapeError

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

    features = painter.backbone("vgg19").features(image, ["relu1_1"])["relu1_1"]
    assert torch.allclose(features, expected, atol=1e-2, rtol=1e-4)


@pytest.mark.parametrize("name", ["compact", "vgg19"])
def test_an_image_of_one_color_has_no_border(painter: Painter, name: str) -> None:
    """Zeros around the picture, as VGG-19 was trained, would show as a frame in the features."""
    features = painter.backbone(name).features(torch.full((1, 3, 64, 64), 0.4), LAYERS)

    for activations in features.values():
        middle = activations[:, :, 2:3, 2:3]
        assert torch.allclose(activations, middle.expand_as(activations), rtol=1e-3, atol=1e-2)


@pytest.mark.parametrize("shape", [(1, 3, 15, 64), (1, 3, 64, 15), (1, 1, 64, 64), (3, 64, 64)])
def test_images_of_another_shape_are_refused(painter: Painter, shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match=f"at least {MIN_EDGE_PX}"):
        painter.backbone("compact").features(torch.zeros(shape), ["relu1_1"])


def test_thin_images_still_have_deep_features(painter: Painter) -> None:
    image = torch.rand(1, 3, 16, 320, generator=seeded(0))
    features = painter.backbone("compact").features(image, LAYERS)

    assert features["relu5_1"].shape == (1, 128, 1, 20)
    assert features["relu5_1"].isfinite().all()


def test_unknown_layers_are_named(painter: Painter) -> None:
    with pytest.raises(KeyError, match="relu9_9"):
        painter.backbone("compact").features(torch.zeros(1, 3, 16, 16), ["relu9_9"])
