import pytest
import torch
from torch import Tensor

from tests.seeds import seeded
from transfer.engine import Painter
from transfer.errors import NotFinite
from transfer.features.extractor import TiledExtractor
from transfer.objective.statistics import statistics
from transfer.objective.targets import Comparison, content_terms, image_statistics
from transfer.settings import Pooling

HEIGHT, WIDTH = 70, 90


@pytest.fixture
def photo() -> Tensor:
    return torch.rand(1, 3, HEIGHT, WIDTH, generator=seeded(0))


def extractor(painter: Painter, layers: list[str], tile_px: int) -> TiledExtractor:
    return TiledExtractor(painter.backbone("compact"), Pooling.MAX, layers, HEIGHT, WIDTH, tile_px)


@pytest.mark.parametrize("tile_px", [32, 4096])
def test_statistics_of_tiles_are_those_of_the_whole(
    painter: Painter, photo: Tensor, tile_px: int
) -> None:
    layers = ["relu1_1", "relu3_1"]
    whole = painter.backbone("compact").features(photo, layers)

    # A machine may compute tiles in half precision, which rounds to 2^-11.
    for layer, actual in image_statistics(
        extractor(painter, layers, tile_px), photo, layers
    ).items():
        expected = statistics(whole[layer])
        size = expected.covariance.abs().max().item()
        assert torch.allclose(actual.mean, expected.mean, rtol=2**-10, atol=1e-3)
        assert torch.allclose(actual.covariance, expected.covariance, rtol=0, atol=2**-8 * size)


@pytest.mark.parametrize("layer", ["relu1_2", "relu4_1"])
@pytest.mark.parametrize("tile_px", [32, 4096])
def test_the_photo_has_no_content_distance_from_itself(
    painter: Painter, photo: Tensor, layer: str, tile_px: int
) -> None:
    tiles = extractor(painter, [layer], tile_px)
    (term,) = content_terms(tiles, photo, [Comparison(layer, lambda loss: loss)])
    totals: list[Tensor] = []

    def on_tile(_: str, features: Tensor, rows: slice, columns: slice) -> None:
        sums = term.sums(features, rows, columns)
        totals[:] = [a + b for a, b in zip(totals, sums, strict=True)] if totals else sums

    tiles.forward(photo, on_tile)
    value, _ = term.value_and_gradients(totals)

    assert abs(value.item()) < 1e-4
    assert len(term.active) > 0


def test_a_photo_of_values_that_are_no_numbers_is_refused(painter: Painter, photo: Tensor) -> None:
    photo[0, 0, 3, 3] = torch.nan

    with pytest.raises(NotFinite, match="content features"):
        content_terms(
            extractor(painter, ["relu4_1"], 4096),
            photo,
            [Comparison("relu4_1", lambda loss: loss)],
        )


@pytest.mark.parametrize("tile_px", [32, 4096])
def test_weighted_statistics_are_those_of_the_part(
    painter: Painter, photo: Tensor, tile_px: int
) -> None:
    layer = "relu3_1"
    weights = torch.zeros(1, 1, HEIGHT >> 2, WIDTH >> 2)
    weights[..., 3:9, 5:19] = 0.5
    whole = painter.backbone("compact").features(photo, [layer])[layer]

    actual = image_statistics(
        extractor(painter, [layer], tile_px), photo, [layer], {layer: weights}
    )[layer]

    expected = statistics(whole[..., 3:9, 5:19])
    size = expected.covariance.abs().max().item()
    # A machine may compute tiles in half precision, which rounds to 2^-11.
    assert torch.allclose(actual.mean, expected.mean, rtol=2**-10, atol=1e-3)
    assert torch.allclose(actual.covariance, expected.covariance, rtol=0, atol=2**-8 * size)
