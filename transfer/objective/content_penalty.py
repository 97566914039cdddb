"""Strength as a distance from the photo, not as a weight."""

from torch import Tensor

from transfer.settings import CONTENT_LAYER, Settings

_MEASURED_AT_PX = 512
_ENLARGED = 0.25
_FARTHEST = 0.9
"""Beyond this there is nothing left of the content to hold."""
_STEEPNESS = {"compact": 10}
_USUAL_STEEPNESS = 6
"""How firmly the distance is held. At 6 the content weighs 1.6 times as much a tenth too far, at
10 2.4 times; style pays up to 1 % for that. compact, which sees less, needs it."""
_GRIPS = 0.25, 4.0
"""What is learned about one picture moves the weight by no more than this."""


def target_distance(strength: float) -> float:
    """The distance from the photo that a painting is to have; see `losses.content_distance`.

    0.2 for strength 0, where the photo keeps every detail; 0.65 for 1, where only the large
    shapes remain; 0.425 in the middle, as in the pictures that the first implementations became
    known by. On vgg19 and its layer relu4_2, at a long edge of 512 px.
    """
    return 0.2 + 0.45 * strength


def content_layer(settings: Settings, backbone: str) -> str:
    """By which layer a backbone compares content, unless an expert says otherwise.

    compact knows relu4_1 better than relu4_2 (errors 0.09 and 0.13): paintings were 2 to 7 %
    closer to the style at equal distance on vgg19.
    """
    return settings.advanced.content_layer or (
        "relu4_1" if backbone == "compact" else CONTENT_LAYER
    )


def backbone_distance(distance: float, backbone: str, long_edge_px: int) -> float:
    """What is `distance` to vgg19 at 512 px, as a backbone sees it in its own paintings.

    At a larger size compact looks at smaller parts of the picture, and finds them changed more
    than the whole is: 19 % more per doubling. Without that, paintings at 1024 px kept a tenth
    and more closer to the photo than at 512 px. vgg19 needs no such allowance.
    """
    if backbone != "compact":
        return distance
    enlarged = max(1.0, long_edge_px / _MEASURED_AT_PX) ** _ENLARGED
    seen = min(distance * enlarged, _FARTHEST)
    return float(1.15 * seen**2)


def default_weight(distance: float, backbone: str) -> float:
    """The weight of the content with which paintings come to rest at this distance, on average."""
    scale = 0.42 if backbone == "compact" else 0.3
    return float(scale * (0.43 / distance) ** 4)


class ContentPenalty:
    """The content's part of the loss: ``weight * goal / p * (loss / goal)^p``.

    With a fixed weight (p = 1) it depends on the pictures and on the size where style and content
    come to rest. With a steep power the content weighs ``weight`` at the goal, little before it,
    and behind it as much as it takes. What it has come to weigh in one step of a painting is the
    weight that the next begins with: the method of multipliers (Nocedal & Wright, "Numerical
    Optimization", section 17.3), by which the goal is met without a steeper power.

    Args:
        weight: of the content where its loss is the goal, before anything is learned.
        goal: the loss to be held; of no effect if the steepness is 1.
        steepness: p.
        multiplier: what steps before this have found the weight to be, relative to the usual one.
    """

    def __init__(
        self, weight: float, goal: float = 1.0, steepness: int = 1, multiplier: float = 1.0
    ) -> None:
        self._weight = multiplier * weight
        self._goal = goal
        self._steepness = steepness
        self._grip = multiplier
        self._last: Tensor | None = None

    @classmethod
    def of(
        cls, settings: Settings, backbone: str, long_edge_px: int, multiplier: float = 1.0
    ) -> "ContentPenalty":
        """What strength asks for, or an expert's fixed weight."""
        weight = settings.advanced.content_weight
        if weight is not None:
            return cls(weight)
        distance = target_distance(settings.strength)
        goal = backbone_distance(distance, backbone, long_edge_px)
        steepness = _STEEPNESS.get(backbone, _USUAL_STEEPNESS)
        return cls(default_weight(distance, backbone), goal, steepness, multiplier)

    def __call__(self, loss: Tensor) -> Tensor:
        """What the content adds to the loss of the painting."""
        self._last = loss.detach()
        held = (loss / self._goal).pow(self._steepness)
        return self._weight * self._goal / self._steepness * held

    @property
    def multiplier(self) -> float:
        """For the next step, from where the image has come to in this one."""
        if self._last is None:
            return self._grip
        # 1 for a fixed weight.
        pull = (float(self._last) / self._goal) ** (self._steepness - 1)
        lowest, highest = _GRIPS
        return min(max(self._grip * pull, lowest), highest)
