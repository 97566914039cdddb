"""The control "strength": a distance from the photo that is asked for, not a weight."""

from torch import Tensor

from transfer.settings import CONTENT_LAYER, Settings
from transfer.stages import Stage

_REFERENCE_PX = 512
"""Long edge at which the distances were measured."""
_SIZE_EXPONENT = 0.25
"""Power of the size by which compact's distances grow."""
_MAX_DISTANCE = 0.9
"""Largest distance to ask for: beyond it nothing of the content is left."""
_STEEPNESS = {"compact": 10}
_DEFAULT_STEEPNESS = 6
"""Power of the penalty. At 6 the content weighs 1.6 times as much a tenth too far, at 10 2.4 times;
style pays up to 1 % for that. compact, which sees less, needs it."""
_SHAPES_STEEPNESS = 4
"""Power of the penalty where shapes are matched."""
_SHAPES_WEIGHT = 1.5
"""Weight of the penalty there, relative to where statistics are."""
_STROKES_LAYER = "relu3_1"
"""Layer that compares content where strokes are matched: the deepest of theirs."""
_MULTIPLIER_RANGE = 0.25, 4.0
"""Limits of the multiplier: one picture moves the weight by no more than this."""


def target_distance(strength: float) -> float:
    """Return the distance from the photo that a painting is to have; see `losses.content_distance`.

    0.2 for strength 0, where the photo keeps every detail; 0.65 for 1, where only the large
    shapes remain; 0.425 in the middle, as in the pictures that the first implementations became
    known by. On vgg19 and its layer relu4_2, at a long edge of 512 px.
    """
    return 0.2 + 0.45 * strength


def content_layer(settings: Settings, backbone: str, stage: Stage = Stage.STATISTICS) -> str:
    """Return the layer that a backbone compares content by, unless the settings name one.

    compact reproduces relu4_1 better than relu4_2 (errors 0.09 and 0.13): paintings were 2 to 7 %
    closer to the style at equal distance on vgg19.
    """
    if settings.advanced.content_layer is None and stage is Stage.STROKES:
        return _STROKES_LAYER
    return settings.advanced.content_layer or (
        "relu4_1" if backbone == "compact" else CONTENT_LAYER
    )


def backbone_distance(distance: float, backbone: str, long_edge_px: int) -> float:
    """Convert a distance on vgg19 at 512 px to that on a backbone in its own paintings.

    At a larger size compact looks at smaller parts of the picture, and finds them changed more
    than the whole is: 19 % more per doubling. Without that, paintings at 1024 px kept a tenth
    and more closer to the photo than at 512 px. vgg19 needs no such allowance.
    """
    if backbone != "compact":
        return distance
    growth = max(1.0, long_edge_px / _REFERENCE_PX) ** _SIZE_EXPONENT
    grown = min(distance * growth, _MAX_DISTANCE)
    return float(1.15 * grown**2)


def default_weight(distance: float, backbone: str) -> float:
    """Return the content weight with which paintings reach this distance on average."""
    scale = 0.42 if backbone == "compact" else 0.3
    return float(scale * (0.43 / distance) ** 4)


def stroke_weight(strength: float) -> float:
    """Return the content weight of the stage of strokes, by the strength of the style.

    3.2 for strength 0, where strokes follow the photo's every edge; 0.2 in the middle; 0.0125 for
    1, where they go where the coarser levels have led.
    """
    return float(0.2 * 16.0 ** (1.0 - 2.0 * strength))


class ContentPenalty:
    """The content's term of the loss: ``weight * goal / p * (loss / goal)^p``.

    With a fixed weight (p = 1) it depends on the pictures and on the size where style and content
    come to rest. With a steep power the content weighs ``weight`` at the goal, little before it,
    and beyond it as much as it takes. The weight at which one level of a painting has come to rest
    is the weight that the next begins with: the method of multipliers (Nocedal & Wright, "Numerical
    Optimization", section 17.3), by which the goal is met without a steeper power.

    Args:
        weight: usual weight of the content where its loss is the goal.
        goal: loss to be held; of no effect if the steepness is 1.
        steepness: the power p.
        multiplier: factor on the weight that the levels before have found.
    """

    def __init__(
        self, weight: float, goal: float = 1.0, steepness: int = 1, multiplier: float = 1.0
    ) -> None:
        self.weight = multiplier * weight
        """Weight of the content where its loss is the goal."""
        self._goal = goal
        self._steepness = steepness
        self._initial_multiplier = multiplier
        self._last_loss: Tensor | None = None

    @classmethod
    def of(
        cls, settings: Settings, backbone: str, long_edge_px: int, multiplier: float = 1.0
    ) -> "ContentPenalty":
        """Build the penalty that the strength asks for, or one of the settings' fixed weight."""
        weight = settings.advanced.content_weight
        if weight is not None:
            return cls(weight)
        distance = target_distance(settings.strength)
        goal = backbone_distance(distance, backbone, long_edge_px)
        steepness = _STEEPNESS.get(backbone, _DEFAULT_STEEPNESS)
        return cls(default_weight(distance, backbone), goal, steepness, multiplier)

    @classmethod
    def of_stage(
        cls, stage: Stage, settings: Settings, backbone: str, long_edge_px: int, multiplier: float
    ) -> "ContentPenalty":
        """Build the penalty of a stage of the painting.

        Matching minimizes a loss that changes at every evaluation, and its steps are as long as
        they are whatever the gradient: where the penalty is steep it would drown everything else.
        """
        weight = settings.advanced.content_weight
        if stage is Stage.STATISTICS or weight is not None:
            return cls.of(settings, backbone, long_edge_px, multiplier)
        if stage is Stage.STROKES:
            return cls(stroke_weight(settings.strength))
        distance = target_distance(settings.strength)
        goal = backbone_distance(distance, backbone, long_edge_px)
        weight = _SHAPES_WEIGHT * default_weight(distance, backbone)
        return cls(weight, goal, _SHAPES_STEEPNESS)

    def __call__(self, loss: Tensor) -> Tensor:
        """Return the addend of the painting's loss for the content's loss, both of shape ()."""
        self._last_loss = loss.detach()
        power = (loss / self._goal).pow(self._steepness)
        return self.weight * self._goal / self._steepness * power

    @property
    def multiplier(self) -> float:
        """Factor on the weight for the next level, from the last loss of this one."""
        if self._last_loss is None:
            return self._initial_multiplier
        # 1 for a fixed weight.
        change = (float(self._last_loss) / self._goal) ** (self._steepness - 1)
        lowest, highest = _MULTIPLIER_RANGE
        return min(max(self._initial_multiplier * change, lowest), highest)
