"""What may be asked of a painting. Free of torch, so that web processes can read it."""

from dataclasses import dataclass
from enum import StrEnum

from transfer.errors import InvalidSetting

LONG_EDGE_MIN_PX = 64
LONG_EDGE_MAX_PX = 8192


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
    """What the effort asks for: compact paints, vgg19 finishes (standard)."""
    COMPACT = "compact"
    VGG19 = "vgg19"
    VGG19_TORCHVISION = "vgg19-torchvision"


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

    def __post_init__(self) -> None:
        if type(self.long_edge_px) is not int:
            raise InvalidSetting("size", "a whole number of pixels", self.long_edge_px)
        if not LONG_EDGE_MIN_PX <= self.long_edge_px <= LONG_EDGE_MAX_PX:
            wanted = f"from {LONG_EDGE_MIN_PX} to {LONG_EDGE_MAX_PX} px"
            raise InvalidSetting("size", wanted, self.long_edge_px)
        # Written so that NaN fails too.
        if type(self.strength) not in {int, float} or not 0.0 <= self.strength <= 1.0:
            raise InvalidSetting("strength", "from 0 to 1", self.strength)
        for name, value, kind in (
            ("effort", self.effort, Effort),
            ("backbone", self.backbone, Backbone),
        ):
            if not isinstance(value, kind):
                raise InvalidSetting(name, f"one of {', '.join(kind)}", value)
        if not self.renditions or len(set(self.renditions)) != len(self.renditions):
            raise InvalidSetting("colors", "one or more different renditions", self.renditions)
        for rendition in self.renditions:
            if not isinstance(rendition, Rendition):
                raise InvalidSetting("colors", f"one of {', '.join(Rendition)}", rendition)
        if type(self.seed) is not int or not 0 <= self.seed < 2**63:
            raise InvalidSetting("seed", "a whole number from 0 to 2^63 - 1", self.seed)
