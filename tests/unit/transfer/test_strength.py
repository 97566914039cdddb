import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from transfer.engine import Painter, Painting
from transfer.images import to_tensor
from transfer.losses import ContentTarget, content_loss
from transfer.settings import CONTENT_LAYER, Effort, Expert, Rendition, Settings
from transfer.strength import content_distance, held, seen_distance, usual_weight


def test_more_strength_goes_farther_for_less_weight() -> None:
    distances = [content_distance(strength) for strength in (0.0, 0.25, 0.5, 0.75, 1.0)]

    # Equal steps of the slider are equal distances.
    assert np.allclose(np.diff(distances), distances[1] - distances[0])
    assert distances[0] > 0
    for backbone in ("compact", "vgg19"):
        weights = [usual_weight(distance, backbone) for distance in distances]
        assert weights == sorted(weights, reverse=True)


@pytest.mark.parametrize("backbone", ["compact", "vgg19", "vgg19-torchvision"])
def test_every_backbone_sees_farther_as_farther(backbone: str) -> None:
    seen = [seen_distance(distance, backbone) for distance in (0.2, 0.3, 0.4, 0.5, 0.65)]

    assert seen == sorted(seen)
    assert 0 < seen[0] < seen[-1] < 1


def slope(at: float, goal: float, weight: float) -> float:
    loss = torch.tensor(at, dtype=torch.float64, requires_grad=True)
    held(loss, goal, weight).backward()
    assert loss.grad is not None
    return loss.grad.item()


def test_a_held_loss_weighs_what_it_should_at_its_goal() -> None:
    assert slope(0.4, goal=0.4, weight=0.7) == pytest.approx(0.7)
    assert slope(0.2, goal=0.4, weight=0.7) < 0.05
    assert slope(0.6, goal=0.4, weight=0.7) > 5.0
    # Rounding may take the loss of the content itself below zero.
    assert abs(slope(-1e-7, goal=0.4, weight=0.7)) < 1e-12


def seen(painting: Painting, painter: Painter, photo: Tensor) -> float:
    backbone = painter.backbone("compact")
    with torch.no_grad():
        features = [
            backbone.features(image, (CONTENT_LAYER,))[CONTENT_LAYER]
            for image in (to_tensor(painting.renditions[Rendition.STYLED]), photo)
        ]
        return content_loss(features[0], ContentTarget.of(features[1])).item()


def test_pictures_of_different_styles_go_about_as_far_as_each_other(
    painter: Painter, content: Image.Image, style: Image.Image
) -> None:
    photo = to_tensor(content, 128)
    stripes = np.arange(96, dtype=np.uint8)[:, None, None] % 16 * 16
    striped = Image.fromarray(np.tile(stripes, (1, 96, 3)))
    distance = content_distance(0.5)

    def ratio(expert: Expert) -> float:
        settings = Settings(long_edge_px=128, effort=Effort.DRAFT, expert=expert)
        near, far = (
            seen(painter.paint(content, [one], settings), painter, photo)
            for one in (style, striped)
        )
        return far / near

    fixed = ratio(Expert(content_weight=usual_weight(distance, "compact")))
    assert fixed > 1.5
    assert 1.0 < ratio(Expert()) < fixed**0.75
