import pytest
import torch
from torch import Tensor

from transfer.objective.content_penalty import ContentPenalty
from transfer.objective.protection import Protection, pool_to_layer

HEIGHT, WIDTH = 64, 96


def spot() -> Tensor:
    """Return a map of half the size of the image: 1 on an eighth of it, one position of relu4_1."""
    found = torch.zeros(1, 1, HEIGHT // 2, WIDTH // 2)
    found[..., 8:24, 12:24] = 1.0
    return found


def test_the_faces_distance_counts_by_their_area_and_by_the_strength() -> None:
    penalty = ContentPenalty(0.5, multiplier=2.0)

    _, coarse, fine = Protection(spot(), 0.25).comparisons("relu4_1", penalty, HEIGHT, WIDTH)

    # 1 + 4 k M at a weight of 1 and an eighth of the area; and 0.03 k.
    assert (coarse.layer, fine.layer) == ("relu4_1", "relu3_1")
    assert coarse.penalty(torch.tensor(0.3)).item() == pytest.approx(0.3 * (1 + 4 * 0.25) / 8)
    assert fine.penalty(torch.tensor(0.3)).item() == pytest.approx(0.3 * 0.03 * 0.25)


def test_the_penalty_holds_the_distance_of_the_rest() -> None:
    penalty = ContentPenalty(0.5, goal=0.2, steepness=6)

    held, *others = Protection(spot(), 1.0).comparisons("relu4_1", penalty, HEIGHT, WIDTH)

    assert held.penalty is penalty
    assert all(other.penalty is not penalty for other in others)
    assert held.weights is not None
    assert held.weights.sum().item() == pytest.approx(1.0)
    face = held.weights[..., 2:6, 3:6]
    assert face.sum() < 0.001
    rest = held.weights[..., 6:]
    assert torch.equal(rest, rest[..., :1, :1].expand_as(rest))


def test_a_picture_that_is_all_protected_still_holds_something() -> None:
    everything = torch.ones(1, 1, HEIGHT, WIDTH)

    held, *_ = Protection(everything, 1.0).comparisons(
        "relu4_1", ContentPenalty(1.0), HEIGHT, WIDTH
    )

    assert held.weights is not None
    assert held.weights.isfinite().all()
    assert held.weights.sum().item() == pytest.approx(1.0)


def test_only_faces_weigh_in_their_distance() -> None:
    _, coarse, fine = Protection(spot(), 1.0).comparisons(
        "relu4_1", ContentPenalty(1.0), HEIGHT, WIDTH
    )

    for comparison, scale in ((coarse, 8), (fine, 4)):
        weights = comparison.weights
        assert weights is not None
        assert weights.shape == (1, 1, HEIGHT // scale, WIDTH // scale)
        assert weights.sum().item() == pytest.approx(1.0)
        inside = weights[..., 16 // scale : 48 // scale, 24 // scale : 48 // scale]
        assert inside.sum().item() == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("strength", "least"), [(0.25, 1 - 0.8 / 2), (0.5, 1 - 0.8), (1.0, 1 - 0.8)]
)
@pytest.mark.parametrize("layer", ["relu4_1", "relu4_4", "relu5_1"])
def test_eyes_count_little_for_deep_style_layers(layer: str, strength: float, least: float) -> None:
    weights = Protection(spot(), strength).style_weights(layer, HEIGHT, WIDTH)

    assert weights is not None
    assert weights.min().item() == pytest.approx(least)
    assert weights.max().item() == 1.0


@pytest.mark.parametrize("layer", ["relu1_1", "relu2_1", "relu3_1", "relu3_4"])
def test_eyes_are_covered_with_strokes_and_colors_like_everything(layer: str) -> None:
    assert Protection(spot(), 1.0).style_weights(layer, HEIGHT, WIDTH) is None


@pytest.mark.parametrize("layer", ["relu1_1", "relu3_1", "relu5_1"])
@pytest.mark.parametrize(("height", "width"), [(64, 96), (37, 251), (16, 16)])
def test_a_place_smaller_than_a_position_still_has_a_weight(
    layer: str, height: int, width: int
) -> None:
    eye = torch.zeros(1, 1, 512, 640)
    eye[..., -1, -1] = 1.0

    found = pool_to_layer(eye, layer, height, width)

    assert found[..., -1, -1] > 0.0
    assert found.count_nonzero() == 1
