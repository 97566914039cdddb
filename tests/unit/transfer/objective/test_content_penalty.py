import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from tests.unit.transfer.reference import ContentTarget, content_loss
from transfer.engine import Painter, PaintResult
from transfer.imaging.images import to_tensor
from transfer.objective.content_penalty import (
    ContentPenalty,
    backbone_distance,
    content_layer,
    default_weight,
    target_distance,
)
from transfer.settings import AdvancedSettings, Effort, Rendition, Settings


def test_more_strength_goes_farther_for_less_weight() -> None:
    distances = [target_distance(strength) for strength in (0.0, 0.25, 0.5, 0.75, 1.0)]

    # Equal steps of the slider are equal distances.
    assert np.allclose(np.diff(distances), distances[1] - distances[0])
    assert distances[0] > 0
    for backbone in ("compact", "vgg19"):
        weights = [default_weight(distance, backbone) for distance in distances]
        assert weights == sorted(weights, reverse=True)


@pytest.mark.parametrize("backbone", ["compact", "vgg19", "vgg19-torchvision"])
def test_every_backbones_distance_grows_with_the_distance(backbone: str) -> None:
    converted = [
        backbone_distance(distance, backbone, 512) for distance in (0.2, 0.3, 0.4, 0.5, 0.65)
    ]

    assert converted == sorted(converted)
    assert 0 < converted[0] < converted[-1] < 1


def test_a_larger_picture_may_change_more_in_its_details() -> None:
    at = [backbone_distance(0.4, "compact", size) for size in (128, 512, 1024, 2048, 8192)]

    assert at[0] == at[1] < at[2] < at[3] < at[4] < 1.0
    assert backbone_distance(0.65, "compact", 8192) < 1.0
    assert backbone_distance(0.4, "vgg19", 8192) == 0.4


def slope(penalty: ContentPenalty, at: float) -> float:
    loss = torch.tensor(at, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(penalty(loss), loss)
    return gradient.item()


def test_the_weight_applies_at_the_goal() -> None:
    penalty = ContentPenalty(0.7, goal=0.4, steepness=6)

    assert slope(penalty, 0.4) == pytest.approx(0.7)
    assert slope(penalty, 0.2) < 0.05
    assert slope(penalty, 0.6) > 5.0
    # Rounding may take the loss of the content itself below zero.
    assert abs(slope(penalty, -1e-7)) < 1e-12


def test_the_next_level_begins_with_the_weight_of_this_one() -> None:
    settings = Settings()
    penalty = ContentPenalty.of(settings, "vgg19", 512)
    goal = target_distance(0.5)
    assert penalty.multiplier == 1.0

    found = slope(penalty, 1.1 * goal)

    following = ContentPenalty.of(settings, "vgg19", 512, penalty.multiplier)
    assert penalty.multiplier == pytest.approx(1.1**5)
    assert slope(following, goal) == pytest.approx(found)
    # One picture says only so much.
    slope(penalty, 3 * goal)
    assert penalty.multiplier == 4.0
    slope(penalty, -1e-7)
    assert penalty.multiplier == 0.25


def test_a_weight_in_the_settings_is_fixed() -> None:
    penalty = ContentPenalty.of(
        Settings(advanced=AdvancedSettings(content_weight=0.3)), "compact", 512, multiplier=2.0
    )

    assert slope(penalty, 0.1) == slope(penalty, 0.9) == pytest.approx(0.3)
    assert penalty.multiplier == 1.0


def test_compact_compares_by_the_layer_that_it_knows_better() -> None:
    assert content_layer(Settings(), "compact") == "relu4_1"
    assert content_layer(Settings(), "vgg19") == "relu4_2"
    assert (
        content_layer(Settings(advanced=AdvancedSettings(content_layer="relu3_1")), "compact")
        == "relu3_1"
    )


def distance_of(painting: PaintResult, painter: Painter, photo: Tensor) -> float:
    backbone, layer = painter.backbone("compact"), content_layer(Settings(), "compact")
    with torch.no_grad():
        features = [
            backbone.features(image, (layer,))[layer]
            for image in (to_tensor(painting.renditions[Rendition.STYLED]), photo)
        ]
        return content_loss(features[0], ContentTarget.of(features[1])).item()


def test_pictures_of_different_styles_go_about_as_far_as_each_other(
    painter: Painter, content: Image.Image, style: Image.Image
) -> None:
    photo = to_tensor(content, 128)
    stripes = np.arange(96, dtype=np.uint8)[:, None, None] % 16 * 16
    striped = Image.fromarray(np.tile(stripes, (1, 96, 3)))
    distance = target_distance(0.5)

    def ratio(advanced: AdvancedSettings) -> float:
        settings = Settings(long_edge_px=128, effort=Effort.DRAFT, advanced=advanced)
        near, far = (
            distance_of(painter.paint(content, [one], settings), painter, photo)
            for one in (style, striped)
        )
        return far / near

    fixed = ratio(AdvancedSettings(content_weight=default_weight(distance, "compact")))
    assert fixed > 1.5
    assert 1.0 < ratio(AdvancedSettings()) < fixed**0.75
