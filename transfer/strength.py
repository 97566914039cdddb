"""Strength as a distance from the photo, not as a weight."""

from torch import Tensor

_STEEPNESS = 6
"""How firmly the distance is held: a tenth too far, and the content weighs 1.6 times as much. At
12 pictures came no closer to each other, and style paid 1 to 3 % for it."""


def content_distance(strength: float) -> float:
    """The distance from the photo that a painting is to have; see `losses.content_loss`.

    0.2 for strength 0, where the photo keeps every detail; 0.65 for 1, where only the large
    shapes remain; 0.425 in the middle, as in the pictures that the first implementations became
    known by. On vgg19 and its layer relu4_2, at a long edge of 512 px.
    """
    return 0.2 + 0.45 * strength


def seen_distance(distance: float, backbone: str) -> float:
    """What is `distance` to vgg19, as another backbone sees it in its own paintings.

    Fitted to compact's paintings of six tuning pairs at three weights: 4 % off (one standard
    deviation) between 0.38 and 0.64.
    """
    return 0.94 * distance**1.85 if backbone == "compact" else distance


def usual_weight(distance: float, backbone: str) -> float:
    """The weight of the content with which paintings come to rest at this distance, on average.

    Fitted like `seen_distance`.
    """
    scale = 0.5 if backbone == "compact" else 0.2
    return float(scale * (0.43 / distance) ** 4)


def held(loss: Tensor, goal: float, weight: float) -> Tensor:
    """``weight * goal / p * (loss / goal)^p`` with p = 6: what holds a loss near its goal.

    With a fixed weight it depends on the pictures and on the size where style and content come to
    rest. Here the content weighs ``weight`` at the goal, little before it, and behind it as much
    as it takes.
    """
    return weight * goal / _STEEPNESS * (loss / goal).pow(_STEEPNESS)
