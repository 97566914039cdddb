"""Tiles against the features of the whole picture, in a random network of few channels."""

import pytest
import torch
from torch import Tensor

from tests.seeds import seeded
from transfer.backbones.vgg import CONVOLUTIONS, VggBackbone
from transfer.features.extractor import TiledExtractor
from transfer.settings import Pooling, Precision

LAYERS = ["relu1_2", "relu2_1", "relu4_2"]
HEIGHT, WIDTH = 75, 131


def random_backbone(precision: Precision) -> VggBackbone:
    generator = seeded(5)
    weights = {}
    channels = 3
    for stage in CONVOLUTIONS:
        for layer in stage:
            kernel = torch.randn(4, channels, 3, 3, generator=generator)
            weights[layer] = kernel * (2 / (9 * channels)) ** 0.5, torch.ones(4)
            channels = 4
    return VggBackbone("random", weights, torch.device("cpu"), precision)


@pytest.fixture(scope="module")
def backbone() -> VggBackbone:
    return random_backbone(Precision.SINGLE)


@pytest.fixture
def image() -> Tensor:
    return torch.rand(1, 3, HEIGHT, WIDTH, generator=seeded(0))


def extractor(backbone: VggBackbone, tile_px: int, saved_from: int | None = None) -> TiledExtractor:
    return TiledExtractor(backbone, Pooling.MAX, LAYERS, HEIGHT, WIDTH, tile_px, saved_from)


@pytest.mark.parametrize("tile_px", [32, 64, 4096])
def test_tiles_have_the_features_of_the_whole(
    backbone: VggBackbone, image: Tensor, tile_px: int
) -> None:
    expected = backbone.features(image, LAYERS)
    features = {layer: torch.full_like(whole, torch.nan) for layer, whole in expected.items()}

    def on_tile(layer: str, tile: Tensor, rows: slice, columns: slice) -> None:
        features[layer][:, :, rows, columns] = tile

    extractor(backbone, tile_px).forward(image, on_tile)

    for layer in LAYERS:
        assert torch.allclose(features[layer], expected[layer], rtol=1e-4, atol=1e-4), layer


def test_values_outside_the_range_are_clamped(backbone: VggBackbone, image: Tensor) -> None:
    sums: list[Tensor] = []
    for shown in (3.0 * image - 1.0, (3.0 * image - 1.0).clamp(0.0, 1.0)):
        extractor(backbone, 4096).forward(shown, lambda _, tile, *__: sums.append(tile.sum()))

    assert sums[: len(LAYERS)] == sums[len(LAYERS) :]


@pytest.mark.parametrize("saved_from", [None, 0, 2])
def test_the_gradient_of_tiles_is_that_of_autograd(
    backbone: VggBackbone, image: Tensor, saved_from: int | None
) -> None:
    backward = extractor(backbone, 32, saved_from).forward_saving(image, lambda *_: None)
    gradient = backward(lambda _layer, features, *_: torch.ones_like(features))

    leaf = image.clone().requires_grad_()
    total = torch.stack([one.sum() for one in backbone.features(leaf, LAYERS).values()]).sum()
    (expected,) = torch.autograd.grad(total, leaf)
    # Rounding may decide otherwise which of four is the largest, in a few windows.
    assert (gradient - expected).norm() < 1e-3 * expected.norm()


@pytest.mark.parametrize("precision", [Precision.SINGLE, Precision.HALF])
def test_features_are_computed_anew_packed_and_unpacked(
    image: Tensor, precision: Precision
) -> None:
    tiles = extractor(random_backbone(precision), 64)
    given: list[tuple[Tensor, slice, slice]] = []

    def on_tile(layer: str, features: Tensor, rows: slice, columns: slice) -> None:
        if layer == "relu2_1":
            given.append((features.clone(), rows, columns))

    tiles.forward(image, on_tile)

    assert len(given) > 1
    for features, rows, columns in given:
        assert torch.equal(tiles.recompute(image, "relu2_1", rows, columns), features)
        restored = tiles.unpack(tiles.pack(features))
        # float16 rounds to 11 binary digits; near zero, to 2^-25 times the scale of 16.
        tolerance = 0.0 if precision is Precision.SINGLE else 2**-11
        assert torch.allclose(restored, features, rtol=tolerance, atol=tolerance * 2**-10)
