"""The stages of a painting. Free of torch."""

from enum import StrEnum


class Stage(StrEnum):
    """Loss that a level of a painting minimizes."""

    STATISTICS = "statistics"
    """Distance of mean and covariance to the style's: lays out its colors and large forms."""
    SHAPES = "shapes"
    """Distance of each place to the style's nearest feature, in layers up to relu4_3."""
    STROKES = "strokes"
    """Distance of each place to the style's nearest feature, in layers up to relu3_1: finishes what
    the coarser levels have laid out."""

    @property
    def is_matching(self) -> bool:
        """True if places are matched to the style's."""
        return self is not Stage.STATISTICS


MATCHED_LAYERS = {
    Stage.SHAPES: ("relu1_1", "relu2_1", "relu3_1", "relu3_3", "relu4_1", "relu4_3"),
    Stage.STROKES: ("relu1_1", "relu1_2", "relu2_1", "relu2_2", "relu3_1"),
}
"""Layers that each stage matches. Six of the ten layers of arXiv 2203.13215 paint shapes as all ten
do. Strokes are cleaner without the fourth stage's layers, whose gradient at full size is grain, and
an evaluation takes a third of the time."""
