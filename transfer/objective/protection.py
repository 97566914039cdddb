"""Protection of the photo's faces: what it adds to the content, and takes from the style.

A second eye or a lost mouth comes from statistics that have to be spent somewhere, and spoils a
painting of people more than anything else. Three measures together keep faces whole. Without the
first, mouths come out skewed; without the second, small features blur; without the third, crumbs of
strokes lie around the eyes like spectacles.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from transfer.features.tiling import pooling_depth
from transfer.objective.content_penalty import ContentPenalty
from transfer.objective.targets import Comparison

FINE_LAYER = "relu3_1"
"""Layer that holds eyelids and lips: finer than the layer that content is compared by."""
_CONTENT_GAIN = 4.0
"""Weight of the content at an eye beside that elsewhere, less one."""
_MIN_REST = 0.001
"""Least weight in the distance that the penalty holds: something is left in any picture."""
_FINE_WEIGHT = 0.03
"""Weight of the distance at `FINE_LAYER`, over all faces."""
_STYLE_LOSS = 0.8
"""Share of an eye that does not count for the style."""
_STYLE_DEPTH = 3
"""Number of poolings from which on layers hold shapes, which faces are to be free of; strokes and
colors, in the layers before, are to cover faces, too."""


@dataclass(frozen=True)
class Protection:
    """Protected places of a photo."""

    map: Tensor
    """Degree to which each place is to be kept, shape (1, 1, H, W) of any size, range [0, 1], not
    all 0; see `faces.protection.protection_map`."""
    strength: float
    """The setting ``keep_faces``, above 0."""

    def comparisons(
        self, layer: str, penalty: ContentPenalty, height: int, width: int
    ) -> list[Comparison]:
        """Return the content terms of a level.

        With M the map and k the strength: the penalty holds the distance in which each position
        weighs 1 - M. The distance in which it weighs M counts as much, relative to the penalty at
        its goal, as if positions weighed ``1 + 4 k M`` in all. If the penalty held the distance of
        the whole picture, the rest would make up for the faces: around a small face the distance
        rose by 0.03, around a close one by 0.2.

        Args:
            layer: layer that content is compared by.
            penalty: penalty of the content.
            height: height of the image, px.
            width: width of the image, px.
        """
        rest = (1.0 - self._at(layer, height, width)).clamp_min(_MIN_REST)
        gain = penalty.weight * (1.0 + _CONTENT_GAIN * self.strength) * float(self.map.mean())
        terms = ((layer, gain), (FINE_LAYER, _FINE_WEIGHT * self.strength))
        comparisons = [Comparison(layer, penalty, rest / rest.sum())]
        for compared_layer, weight in terms:
            kept = self._at(compared_layer, height, width)
            comparisons.append(Comparison(compared_layer, _times(weight), kept / kept.sum()))
        return comparisons

    def style_weights(
        self, layer: str, height: int, width: int, *, all_layers: bool = False
    ) -> Tensor | None:
        """Return how much each position counts for the style; None: all of the layer alike.

        Args:
            layer: a style layer.
            height: height of the image, px.
            width: width of the image, px.
            all_layers: whether protected places count less in shallow layers, too. Where places
                are matched, they are covered with strokes by what they have next to them.

        Returns:
            shape (1, 1, H', W') of the layer, range [0.2, 1].
        """
        if not all_layers and pooling_depth(layer) < _STYLE_DEPTH:
            return None
        loss = _STYLE_LOSS * min(1.0, 2.0 * self.strength)
        return 1.0 - loss * self._at(layer, height, width)

    def _at(self, layer: str, height: int, width: int) -> Tensor:
        return pool_to_layer(self.map, layer, height, width)


def pool_to_layer(map: Tensor, layer: str, height: int, width: int) -> Tensor:
    """Average a map, shape (1, 1, H, W), over each position of a layer of an image of this size."""
    # Averages, not samples: a place smaller than a position still has a weight.
    size = height >> pooling_depth(layer), width >> pooling_depth(layer)
    return F.adaptive_avg_pool2d(map, size)


def _times(weight: float) -> Callable[[Tensor], Tensor]:
    return lambda distance: weight * distance
