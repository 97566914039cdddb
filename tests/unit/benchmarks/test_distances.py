import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from benchmarks.common.errors import Unmeasurable
from benchmarks.qualitylib.distances import (
    Reference,
    content_distance,
    style_distance,
)
from tests.seeds import seeded
from tests.unit.benchmarks.fakes import picture
from transfer.backbones.vgg import VggBackbone
from transfer.errors import ShapeError
from transfer.objective.statistics import statistics


@pytest.fixture
def generator() -> torch.Generator:
    return seeded(0)


def features(generator: torch.Generator, channels: int = 4) -> Tensor:
    return torch.rand(1, channels, 6, 7, generator=generator, dtype=torch.float64) * 3 + 1


def by_hand(painting: Tensor, style: Tensor) -> float:
    found, wanted = painting[0].flatten(1).numpy(), style[0].flatten(1).numpy()
    covariance = np.cov(wanted, bias=True)
    missed = np.linalg.norm(np.cov(found, bias=True) - covariance) / np.linalg.norm(covariance)
    moved = np.linalg.norm(found.mean(axis=1) - wanted.mean(axis=1))
    return float(missed + moved / np.sqrt(np.trace(covariance)))


def test_style_distance_agrees_with_numpy(generator: torch.Generator) -> None:
    paintings = {"relu1_1": features(generator), "relu2_1": features(generator, 5)}
    styles = {"relu1_1": 2 * features(generator), "relu2_1": features(generator, 5)}
    paintings["relu4_2"] = features(generator)  # not asked for

    found = style_distance(paintings, {name: statistics(one) for name, one in styles.items()})

    wanted = np.mean([by_hand(paintings[name], styles[name]) for name in styles])
    assert found == pytest.approx(wanted)


def test_content_distance_agrees_with_numpy_over_live_channels(generator: torch.Generator) -> None:
    painting, content = features(generator, 5), features(generator, 5)
    content[0, 1] = 0.7  # dead: it does not vary, though rounding gives it a variance
    painting[0, 3] = 0.0  # silenced: nothing to correlate with

    found = content_distance(painting, content)

    rows, wanted = painting[0].flatten(1).numpy(), content[0].flatten(1).numpy()
    correlations = [np.corrcoef(rows[at], wanted[at])[0, 1] for at in (0, 2, 4)]
    assert found == pytest.approx(np.mean([1 - one for one in [*correlations, 0.0]]))


def test_content_distance_is_blind_to_brightness_and_contrast(generator: torch.Generator) -> None:
    content = features(generator)

    assert content_distance(2 * content + 5, content) == pytest.approx(0.0, abs=1e-12)
    assert content_distance(5 - content, content) == pytest.approx(2.0)


def test_single_colors_cannot_be_measured_against(generator: torch.Generator) -> None:
    painting, flat = features(generator), torch.full((1, 4, 6, 7), 2.0, dtype=torch.float64)

    with pytest.raises(Unmeasurable, match="style picture is of one color"):
        style_distance({"relu1_1": painting}, {"relu1_1": statistics(flat)})
    with pytest.raises(Unmeasurable, match="content picture is of one color"):
        content_distance(painting, flat)


def test_other_shapes_are_refused(generator: torch.Generator) -> None:
    with pytest.raises(ShapeError):
        content_distance(features(generator), features(generator)[:, :, 1:])


@pytest.mark.usefixtures("_measured_small")
def test_a_picture_has_no_distance_from_itself(backbone: VggBackbone) -> None:
    content, style = picture(60, 80, 1), picture(70, 64, 2)
    reference = Reference.measure(backbone, content, style)

    as_content, as_style = reference.distances(content), reference.distances(style.resize((80, 60)))

    assert as_content.content == pytest.approx(0.0, abs=1e-12)
    assert as_content.style > 0.5
    own = Reference.measure(backbone, content, content).distances(content)
    assert own.style == 0.0
    assert own.content == pytest.approx(0.0, abs=1e-12)
    assert as_style.content > 0.5
    assert as_style.style < as_content.style


@pytest.mark.usefixtures("_measured_small")
def test_a_painting_has_the_shape_of_the_content_to_a_pixel(backbone: VggBackbone) -> None:
    content = picture(60, 80, 1)
    reference = Reference.measure(backbone, content, picture(64, 64, 2))

    # Stretched by a pixel, as when an engine rounds the short side up.
    stretched = content.resize((64, 49), Image.Resampling.LANCZOS)
    assert reference.distances(stretched).content < 0.1
    with pytest.raises(ShapeError, match="like the content"):
        reference.distances(content.resize((60, 80)))
