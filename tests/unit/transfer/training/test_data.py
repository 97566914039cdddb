from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.seeds import seeded
from tests.unit.transfer.conftest import picture
from transfer.backbones.vgg import STYLE_LAYERS
from transfer.engine import Painter
from transfer.imaging.images import to_tensor
from transfer.objective.statistics import statistics
from transfer.training.data import painted_crops, photo_crops, read_pictures


@pytest.fixture
def pictures() -> list[Tensor]:
    return [to_tensor(picture(48, 56, seed))[0].mul(255.0).byte() for seed in range(3)]


def test_pictures_are_read_exactly_and_small_ones_left_out(tmp_path: Path) -> None:
    large, small = picture(40, 50, 1), picture(31, 50, 2)
    large.save(tmp_path / "large.png")
    small.save(tmp_path / "small.png")

    (values,) = read_pictures(sorted(tmp_path.iterdir()), crop_px=32)

    assert torch.equal(values, to_tensor(large)[0].mul(255.0).byte())


def test_crops_are_images_and_repeat_themselves(pictures: list[Tensor]) -> None:
    crops, again, others = (photo_crops(pictures, 32, 12, seeded(seed)) for seed in (0, 0, 1))

    assert crops.shape == (12, 3, 32, 32)
    assert 0.0 <= float(crops.min()) < 0.2
    assert 0.8 < float(crops.max()) <= 1.0
    assert torch.equal(crops, again)
    assert not torch.equal(crops, others)
    assert len({crop.numpy().tobytes() for crop in crops}) == 12
    assert photo_crops(pictures, 32, 0, torch.Generator()).shape == (0, 3, 32, 32)


def test_a_picture_as_large_as_a_crop_is_seen_whole(generator: torch.Generator) -> None:
    (values,) = [to_tensor(picture(32, 32, 5))[0].mul(255.0).byte()]
    whole = values.float() / 255.0

    crops = photo_crops([values], 32, 20, generator)

    assert any(torch.allclose(crop, whole, atol=1e-3) for crop in crops)
    assert any(torch.allclose(crop, whole.flip(2), atol=1e-3) for crop in crops)


def test_paintings_come_ever_closer_to_the_style(
    painter: Painter, pictures: list[Tensor], generator: torch.Generator
) -> None:
    backbone = painter.backbone("compact")
    pair = torch.stack([pictures[0], pictures[1]])[:, :, :48, :48].float() / 255.0

    states = painted_crops(backbone, pair, generator)

    def distance(image: Tensor) -> float:
        total = 0.0
        found, wanted = (backbone.features(each, STYLE_LAYERS) for each in (image, pair[1:]))
        for layer in STYLE_LAYERS:
            ours, theirs = statistics(found[layer]), statistics(wanted[layer])
            total += float((ours.covariance - theirs.covariance).norm() / theirs.covariance.norm())
        return total

    assert states.shape == (4, 3, 48, 48)
    assert float(states.min()) >= 0.0
    assert float(states.max()) <= 1.0
    distances = [distance(image[None]) for image in (pair[0], states[0], states[3])]
    assert distances == sorted(distances, reverse=True)
    assert distances[2] < 0.8 * distances[0]
