"""What may be asked of a painting. Free of torch, so that web processes can read it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from enum import StrEnum
from functools import cache
from typing import Annotated, Any

from transfer.errors import InvalidSetting

LONG_EDGE_MIN_PX = 64
LONG_EDGE_MAX_PX = 8192
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
class Setting:
    """Annotation of a field: what it may hold, and the command line's option for it."""

    name: str
    """In errors, and with hyphens as an option."""
    help: str
    wanted: Callable[[Any], str | None]
    """Says what is wanted in place of a value; None if the value is allowed."""
    type: Callable[[str], Any] = str
    """Of the option, as argparse knows it."""
    choices: Sequence[str] | None = None
    metavar: str | None = None
    read: Callable[[Any], Any] = lambda written: written
    """Makes the field's value of what the option or a column of a table says."""
    readable: str = ""
    """What `read` can read."""
    write: Callable[[Any], Any] = lambda value: value
    """Makes what the option says of the field's value."""


@cache
def settings_in(kind: Any) -> Mapping[str, Setting]:
    """Return the annotations of the fields of `Settings` or `AdvancedSettings` that have one."""
    annotations = {each.name: getattr(each.type, "__metadata__", ()) for each in fields(kind)}
    return {name: found[0] for name, found in annotations.items() if found}


def read(kind: Any, written: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of fields by what options or columns say of them.

    Raises:
        InvalidSetting: if one of them cannot be read.
    """
    values, settings = {}, settings_in(kind)
    for name, said in written.items():
        setting = settings[name]
        try:
            values[name] = setting.read(said)
        except ValueError:
            raise InvalidSetting(setting.name, setting.readable, said) from None
    return values


def _check(settings: object) -> None:
    kind: Any = type(settings)
    for name, setting in settings_in(kind).items():
        value, default = getattr(settings, name), getattr(kind, name)
        wanted = None if value is default is None else setting.wanted(value)
        if wanted is not None:
            raise InvalidSetting(setting.name, wanted, value)


def _whole(name: str, help: str, low: int, high: int, unit: str = "") -> Setting:
    def wanted(value: object) -> str | None:
        if type(value) is not int:
            return "a whole number"
        return None if low <= value <= high else f"from {low} to {high}{unit}"

    return Setting(name, help, wanted, int)


def _number(name: str, help: str, low: float, high: float) -> Setting:
    def wanted(value: object) -> str | None:
        return None if _is_number(value, low, high) else f"from {low:g} to {high:g}"

    return Setting(name, help, wanted, float)


def _weight(name: str, help: str) -> Setting:
    return _number(name, help, 0.0, WEIGHT_MAX)


def _choice(name: str, kind: type[StrEnum], help: str = "") -> Setting:
    names = [one.value for one in kind]
    known = f"one of {', '.join(names)}"

    def wanted(value: object) -> str | None:
        return None if isinstance(value, kind) else known

    help += "(%(default)s)"
    return Setting(name, help, wanted, choices=names, read=kind, readable=known, write=str)


def _wanted_seed(seed: object) -> str | None:
    is_seed = type(seed) is int and 0 <= seed < 2**63
    return None if is_seed else "a whole number from 0 to 2^63 - 1"


def _wanted_renditions(renditions: Any) -> str | None:
    is_tuple = isinstance(renditions, tuple) and all(isinstance(r, Rendition) for r in renditions)
    is_fine = is_tuple and 0 < len(renditions) == len(set(renditions))
    return None if is_fine else "one or more different renditions"


def _read_renditions(names: str | Sequence[str]) -> tuple[Rendition, ...]:
    split = names.split(",") if isinstance(names, str) else names
    return tuple(Rendition(name.strip()) for name in split)


def _wanted_weights(weights: Any) -> str | None:
    is_tuple = isinstance(weights, tuple) and all(_is_weight(one) for one in weights)
    is_fine = is_tuple and (not weights or any(weights))
    return None if is_fine else f"numbers from 0 to {WEIGHT_MAX:g}, not all of them 0"


def _wanted_layers(layers: tuple[tuple[str, float], ...]) -> str | None:
    try:
        weights = dict(layers)
    except (TypeError, ValueError):
        weights = {}
    if not weights or len(weights) != len(layers) or not weights.keys() <= set(LAYERS):
        return f"one or more of {', '.join(LAYERS)}, each once and with its weight"
    if not all(_is_weight(one) for one in weights.values()) or not any(weights.values()):
        return f"layers with weights from 0 to {WEIGHT_MAX:g}, not all of them 0"
    return None


def _read_layers(text: str) -> tuple[tuple[str, float], ...]:
    pairs = [part.partition("=") for part in text.split(",")]
    return tuple((layer.strip(), float(weight or 1.0)) for layer, _, weight in pairs)


def _is_weight(value: object) -> bool:
    return _is_number(value, 0.0, WEIGHT_MAX)


def _is_number(value: object, low: float, high: float) -> bool:
    # Written so that NaN fails too.
    return type(value) in {int, float} and low <= value <= high  # type: ignore[operator]


@dataclass(frozen=True)
class AdvancedSettings:
    """The optimization's own terms, for those who know them.

    Raises:
        InvalidSetting: if a value is out of range or unknown.
    """

    content_weight: Annotated[
        float | None,
        _weight("content weight", "fixed weight of the content loss, instead of --strength"),
    ] = None
    smoothness_weight: Annotated[
        float | None, _weight("smoothness weight", "of the roughness, instead of --smoothness")
    ] = None
    style_layers: Annotated[
        tuple[tuple[str, float], ...],
        Setting(
            "style layers",
            f"of {', '.join(LAYERS)}; weight 1 where there is none (%(default)s)",
            _wanted_layers,
            metavar="LAYER[=W],...",
            read=_read_layers,
            readable="layers with commas between, each alone or as layer=weight",
            write=lambda layers: ",".join(
                f"{name}={weight}".removesuffix("=1.0") for name, weight in layers
            ),
        ),
    ] = tuple((layer, 1.0) for layer in STYLE_LAYERS)
    """Names, each with its weight relative to the others'; together they weigh 1."""
    content_layer: Annotated[
        str | None,
        Setting(
            "content layer",
            "one of the same (relu4_2, with compact relu4_1)",
            lambda layer: None if layer in LAYERS else f"one of {', '.join(LAYERS)}",
        ),
    ] = None
    """None: relu4_2, or what the backbone knows best instead."""
    pooling: Annotated[Pooling, _choice("pooling", Pooling)] = Pooling.MAX
    evaluations: Annotated[
        int | None,
        _whole("evaluations", "of the first rendition, about, instead of --effort's", 10, 10_000),
    ] = None
    """Of the first rendition, about, shared out over sizes as the effort does; later ones get
    more or fewer in proportion. None: as effort says."""

    def __post_init__(self) -> None:
        _check(self)


@dataclass(frozen=True)
class Settings:
    """Everything that decides how a painting looks, apart from its pictures.

    Raises:
        InvalidSetting: if a value is out of range or unknown.
    """

    long_edge_px: Annotated[
        int,
        _whole("size", "long edge, px (%(default)s)", LONG_EDGE_MIN_PX, LONG_EDGE_MAX_PX, " px"),
    ] = 512
    """Long edge of the result, px."""
    strength: Annotated[float, _number("strength", "0 to 1 (%(default)s)", 0.0, 1.0)] = 0.5
    """0 stays close to the photo, 1 lets the style take over."""
    effort: Annotated[Effort, _choice("effort", Effort)] = Effort.STANDARD
    backbone: Annotated[Backbone, _choice("backbone", Backbone)] = Backbone.AUTO
    renditions: Annotated[
        tuple[Rendition, ...],
        Setting(
            "colors",
            f"one or more of {', '.join(Rendition)}, commas between (%(default)s)",
            _wanted_renditions,
            read=_read_renditions,
            readable=f"one or more of {', '.join(Rendition)}, with commas between",
            write=",".join,
        ),
    ] = (Rendition.STYLED,)
    """In the order in which they are painted; later ones start from the first."""
    seed: Annotated[
        int, Setting("seed", "same seed, same picture (%(default)s)", _wanted_seed, int)
    ] = 0
    style_weights: Annotated[
        tuple[float, ...],
        Setting(
            "style weights",
            "one per style, only their ratios count (all alike)",
            _wanted_weights,
            metavar="W,W...",
            read=lambda text: tuple(map(float, text.split(","))) if text else (),
            readable="numbers with commas between",
            write=lambda weights: ",".join(map(str, weights)),
        ),
    ] = ()
    """How much each style counts relative to the others; empty: all alike."""
    brush_size: Annotated[
        float, _number("brush size", "size of strokes, 0.5 to 2 (%(default)s)", 0.5, 2.0)
    ] = 1.0
    """Size of strokes and patterns relative to the painting; 1 as in the style picture, if it hung
    beside the painting in its size."""
    smoothness: Annotated[float, _number("smoothness", "0 to 1 (%(default)s)", 0.0, 1.0)] = 0.5
    """0 keeps all grain, 1 leaves flat places flat."""
    start: Annotated[Start, _choice("start", Start, "the image before the first evaluation ")] = (
        Start.RECOLORED
    )
    color_map: Annotated[
        ColorMap,
        _choice("color map", ColorMap, "how the style gets the photo's palette in histogram "),
    ] = ColorMap.SYMMETRIC
    animation: bool = False
    """Whether the first rendition's way from start to end is kept as an animation."""
    advanced: AdvancedSettings = field(default_factory=AdvancedSettings)

    def __post_init__(self) -> None:
        _check(self)
        if type(self.animation) is not bool:
            raise InvalidSetting("animation", "true or false", self.animation)
        if not isinstance(self.advanced, AdvancedSettings):
            raise InvalidSetting("advanced", "an AdvancedSettings", self.advanced)
