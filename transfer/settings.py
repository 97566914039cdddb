"""What may be asked of a painting. Free of torch, so that web processes can read it."""

from dataclasses import dataclass, field
from enum import StrEnum

from transfer.errors import InvalidSetting

LONG_EDGE_MIN_PX = 64
LONG_EDGE_MAX_PX = 8192
BRUSH_SIZE_MIN = 0.5
BRUSH_SIZE_MAX = 2.0
EVALUATIONS_MIN = 10
EVALUATIONS_MAX = 10_000
ANIMATION_FRAMES_MAX = 60
ANIMATION_EDGE_MAX_PX = 512
"""Long edge of a frame."""
WEIGHT_MAX = 1e6
"""Largest of any weight: what lies beyond drowns everything else in single precision."""

LAYERS = (
    *("relu1_1", "relu1_2"),
    *("relu2_1", "relu2_2"),
    *("relu3_1", "relu3_2", "relu3_3", "relu3_4"),
    *("relu4_1", "relu4_2", "relu4_3", "relu4_4"),
    "relu5_1",
)
"""The feature layers of every backbone, from shallow to deep."""
STYLE_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
CONTENT_LAYER = "relu4_2"


class Rendition(StrEnum):
    """One output image of a painting, named by where its colors come from."""

    STYLED = "styled"
    """The style's colors."""
    HISTOGRAM = "histogram"
    """The photo's palette: the style is recolored first (arXiv 1606.05897, section 4)."""
    LUMINANCE = "luminance"
    """The photo's hues exactly: only lightness is painted (arXiv 1606.05897, section 5)."""


class Effort(StrEnum):
    """How much work goes into a painting."""

    DRAFT = "draft"
    STANDARD = "standard"
    FINE = "fine"


class Backbone(StrEnum):
    """The network whose feature statistics define style."""

    AUTO = "auto"
    """What the effort asks for: in standard compact paints, and vgg19 finishes sizes that are not
    too large for it; in draft compact alone, in fine vgg19."""
    COMPACT = "compact"
    VGG19 = "vgg19"
    VGG19_TORCHVISION = "vgg19-torchvision"


class Start(StrEnum):
    """The image before the first evaluation."""

    RECOLORED = "recolored"
    """The photo in the style's palette."""
    CONTENT = "content"
    """The photo as it is."""
    NOISE = "noise"
    """Random colors, of which the seed decides; the photo's shapes are found on the way."""


class ColorMap(StrEnum):
    """Which of the linear maps gives the style the photo's palette, in `Rendition.HISTOGRAM`."""

    SYMMETRIC = "symmetric"
    """Monge-Kantorovich: moves colors least."""
    CHOLESKY = "cholesky"
    """By Cholesky factors: red from red alone, green from red and green, blue from all."""
    PCA = "pca"
    """By principal axes: one palette is whitened, then given the axes of the other."""


class Precision(StrEnum):
    """Of the numbers with which a gradient is carried back through a backbone, and of what tiles
    keep for that.
    """

    AUTO = "auto"
    """`HALF` where the processor has units for products of such matrices, else `SINGLE`."""
    HALF = "half"
    """bfloat16: the range of single precision, and a third of its digits."""
    SINGLE = "single"


class Pooling(StrEnum):
    """How a backbone goes from one stage to the next."""

    MAX = "max"
    """As VGG-19 was trained."""
    AVERAGE = "average"
    """As Gatys, Ecker & Bethge (CVPR 2016, section 2) recommend for synthesis."""


@dataclass(frozen=True)
class Expert:
    """The optimization's own terms, for those who know them.

    Raises:
        InvalidSetting: if a value is out of range or unknown.
    """

    content_weight: float | None = None
    """Fixed weight of the content loss, 0 to `WEIGHT_MAX`; None: as strength says."""
    smoothness_weight: float | None = None
    """Weight of the roughness of the image, 0 to `WEIGHT_MAX`; None: as smoothness says."""
    style_layers: tuple[tuple[str, float], ...] = tuple((layer, 1.0) for layer in STYLE_LAYERS)
    """Layers by name, each with its weight relative to the others'; together they weigh 1."""
    content_layer: str | None = None
    """None: relu4_2, or what the backbone knows best instead."""
    pooling: Pooling = Pooling.MAX
    evaluations: int | None = None
    """Of the first rendition, about, shared out over sizes as the effort does; later ones get
    more or fewer in proportion. None: as effort says."""

    def __post_init__(self) -> None:
        for name, weight in (
            ("content weight", self.content_weight),
            ("smoothness weight", self.smoothness_weight),
        ):
            if weight is not None:
                _check_number(name, weight, 0.0, WEIGHT_MAX)
        _check_style_layers(self.style_layers)
        if self.content_layer not in (None, *LAYERS):
            raise InvalidSetting("content layer", f"one of {', '.join(LAYERS)}", self.content_layer)
        _check_choice("pooling", self.pooling, Pooling)
        if self.evaluations is not None:
            _check_whole("evaluations", self.evaluations, EVALUATIONS_MIN, EVALUATIONS_MAX)


@dataclass(frozen=True)
class Settings:
    """Everything that decides how a painting looks, apart from its pictures.

    Raises:
        InvalidSetting: if a value is out of range or unknown.
    """

    long_edge_px: int = 512
    """Long edge of the result, px."""
    strength: float = 0.5
    """0 stays close to the photo, 1 lets the style take over."""
    effort: Effort = Effort.STANDARD
    backbone: Backbone = Backbone.AUTO
    renditions: tuple[Rendition, ...] = (Rendition.STYLED,)
    """In the order in which they are painted; later ones start from the first."""
    seed: int = 0
    style_weights: tuple[float, ...] = ()
    """How much each style counts relative to the others; empty: all alike."""
    brush_size: float = 1.0
    """Size of strokes and patterns relative to the painting: `BRUSH_SIZE_MIN` to
    `BRUSH_SIZE_MAX`; 1 as in the style picture, if it hung beside the painting in its size."""
    smoothness: float = 0.5
    """0 keeps all grain, 1 leaves flat places flat."""
    start: Start = Start.RECOLORED
    color_map: ColorMap = ColorMap.SYMMETRIC
    animation: bool = False
    """Whether the first rendition's way from start to end is kept as an animation."""
    expert: Expert = field(default_factory=Expert)

    def __post_init__(self) -> None:
        _check_whole("size", self.long_edge_px, LONG_EDGE_MIN_PX, LONG_EDGE_MAX_PX, " px")
        _check_number("strength", self.strength, 0.0, 1.0)
        _check_choice("effort", self.effort, Effort)
        _check_choice("backbone", self.backbone, Backbone)
        _check_renditions(self.renditions)
        if type(self.seed) is not int or not 0 <= self.seed < 2**63:
            raise InvalidSetting("seed", "a whole number from 0 to 2^63 - 1", self.seed)
        _check_style_weights(self.style_weights)
        _check_number("brush size", self.brush_size, BRUSH_SIZE_MIN, BRUSH_SIZE_MAX)
        _check_number("smoothness", self.smoothness, 0.0, 1.0)
        _check_choice("start", self.start, Start)
        _check_choice("color map", self.color_map, ColorMap)
        if type(self.animation) is not bool:
            raise InvalidSetting("animation", "true or false", self.animation)
        if not isinstance(self.expert, Expert):
            raise InvalidSetting("expert", "settings of the class Expert", self.expert)


def _check_whole(name: str, value: object, low: int, high: int, unit: str = "") -> None:
    if type(value) is not int:
        raise InvalidSetting(name, "a whole number", value)
    if not low <= value <= high:
        raise InvalidSetting(name, f"from {low} to {high}{unit}", value)


def _check_number(name: str, value: object, low: float, high: float) -> None:
    if not _is_number(value, low, high):
        raise InvalidSetting(name, f"from {low:g} to {high:g}", value)


def _check_choice(name: str, value: object, kind: type[StrEnum]) -> None:
    if not isinstance(value, kind):
        raise InvalidSetting(name, f"one of {', '.join(kind)}", value)


def _check_renditions(renditions: object) -> None:
    wanted = "one or more different renditions"
    if not isinstance(renditions, tuple) or not renditions:
        raise InvalidSetting("colors", wanted, renditions)
    for rendition in renditions:
        _check_choice("colors", rendition, Rendition)
    if len(set(renditions)) != len(renditions):
        raise InvalidSetting("colors", wanted, renditions)


def _check_style_weights(weights: object) -> None:
    wanted = f"numbers from 0 to {WEIGHT_MAX:g}, not all of them 0"
    if not isinstance(weights, tuple) or not all(_is_weight(one) for one in weights):
        raise InvalidSetting("style weights", wanted, weights)
    if weights and not any(weights):
        raise InvalidSetting("style weights", wanted, weights)


def _check_style_layers(layers: tuple[tuple[str, float], ...]) -> None:
    try:
        weights = dict(layers)
    except (TypeError, ValueError):
        weights = {}
    if not weights or len(weights) != len(layers) or not weights.keys() <= set(LAYERS):
        wanted = f"one or more of {', '.join(LAYERS)}, each once and with its weight"
        raise InvalidSetting("style layers", wanted, layers)
    if not all(_is_weight(one) for one in weights.values()) or not any(weights.values()):
        wanted = f"layers with weights from 0 to {WEIGHT_MAX:g}, not all of them 0"
        raise InvalidSetting("style layers", wanted, layers)


def _is_weight(value: object) -> bool:
    return _is_number(value, 0.0, WEIGHT_MAX)


def _is_number(value: object, low: float, high: float) -> bool:
    # Written so that NaN fails too.
    return type(value) in {int, float} and low <= value <= high  # type: ignore[operator]
