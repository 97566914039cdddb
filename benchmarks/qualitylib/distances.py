"""Distances of a painting from its style and its content, as the original VGG-19 sees them.

The same two figures for every engine, whatever it minimized. They trade against each other, so
compare at equal content distance (`benchmarks.qualitylib.curves`).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor

from benchmarks.common.errors import Unmeasurable
from transfer.backbones.vgg import CONTENT_LAYER, STYLE_LAYERS, VggBackbone
from transfer.errors import ShapeError
from transfer.imaging.images import to_tensor
from transfer.objective.statistics import Statistics, statistics

MEASURED_LONG_EDGE_PX = 512
"""Long edge to which painting, content and style are resized, so that figures compare."""


@dataclass(frozen=True)
class Distances:
    """Style and content distance; both are 0 for the picture itself."""

    style: float
    content: float


@dataclass(frozen=True)
class Reference:
    """Features of a pair, computed once for all its paintings."""

    backbone: VggBackbone
    content: Image.Image
    style: Mapping[str, Statistics]
    """Statistics by style layer."""

    @classmethod
    def measure(
        cls, backbone: VggBackbone, content: Image.Image, style: Image.Image
    ) -> "Reference":
        """Measure the two pictures, of any size."""
        with torch.no_grad():
            features = backbone.features(to_tensor(style, MEASURED_LONG_EDGE_PX), STYLE_LAYERS)
            found = {layer: statistics(features[layer]) for layer in STYLE_LAYERS}
        return cls(backbone, content, found)

    def distances(self, painting: Image.Image) -> Distances:
        """Measure a painting of this pair, of any size.

        Raises:
            ShapeError: if the painting has another shape than the content.
            Unmeasurable: if content or style is of one color.
        """
        image = to_tensor(painting, MEASURED_LONG_EDGE_PX)
        content = to_tensor(self.content, MEASURED_LONG_EDGE_PX)
        height, width = image.shape[2:]
        # Engines round the short side each in their own way: by a pixel, but not by more.
        if max(abs(content.shape[2] - height), abs(content.shape[3] - width)) > 1:
            wanted = f"(1, 3, {content.shape[2]}, {content.shape[3]}), like the content"
            raise ShapeError("painting", wanted, tuple(image.shape))
        if content.shape != image.shape:
            content = to_tensor(self.content.resize((width, height), Image.Resampling.LANCZOS))
        with torch.no_grad():
            found = self.backbone.features(image, (*STYLE_LAYERS, CONTENT_LAYER))
            seen = self.backbone.features(content, (CONTENT_LAYER,))[CONTENT_LAYER]
            return Distances(
                style_distance(found, self.style),
                content_distance(found[CONTENT_LAYER], seen),
            )


def style_distance(features: Mapping[str, Tensor], style: Mapping[str, Statistics]) -> float:
    """Return the mean over layers of ``|C - Cs|_F / |Cs|_F + |m - ms| / sqrt(tr Cs)``.

    C is the centered covariance of a layer over its positions, m its mean. Not squared as in
    `transfer.objective.losses.style_loss`: a distance grows in proportion to the deviation.

    Args:
        features: a painting's activations by layer, shape (1, C, H, W); further layers are ignored.
        style: the style's statistics, by the layers to compare.

    Raises:
        Unmeasurable: if the style has no covariance in a layer: it is of one color.
    """
    terms = []
    for layer, wanted in style.items():
        found = statistics(features[layer])
        size, spread = wanted.covariance.norm(), wanted.covariance.trace().sqrt()
        if not size > 0:
            raise Unmeasurable(f"The style picture is of one color: nothing varies in {layer}.")
        covariance = (found.covariance - wanted.covariance).norm() / size
        mean = (found.mean - wanted.mean).norm() / spread
        terms.append(float(covariance + mean))
    return sum(terms) / len(terms)


def content_distance(features: Tensor, content: Tensor) -> float:
    """Return the mean over live channels of 1 - correlation over positions: 0 to 2.

    A channel is live where it varies in the content. One that the painting silences has
    correlation 0.

    Args:
        features: a painting's activations at one layer, shape (1, C, H, W).
        content: the content's, of the same shape.

    Raises:
        ShapeError: if the shapes differ.
        Unmeasurable: if no channel is live: the content is of one color.
    """
    if features.shape != content.shape:
        raise ShapeError("features", str(tuple(content.shape)), tuple(features.shape))
    # Equal values stay equal, whereas a variance of theirs may come out as a rounding error.
    is_live = content.amax(dim=(2, 3)) > content.amin(dim=(2, 3))  # (1, C)
    if not is_live.any():
        raise Unmeasurable("The content picture is of one color: no channel varies.")
    found, wanted = (
        _directions(activations[is_live].flatten(1).double()) for activations in (features, content)
    )
    return float((1.0 - (found * wanted).sum(dim=1)).mean())


def _directions(channels: Tensor) -> Tensor:
    """Center rows and scale them to length 1, shape (C, positions); flat rows become zero."""
    centered = channels - channels.mean(dim=1, keepdim=True)
    is_flat = channels.amax(dim=1, keepdim=True) == channels.amin(dim=1, keepdim=True)
    lengths = centered.square().sum(dim=1, keepdim=True).sqrt()
    return (centered / lengths).masked_fill(is_flat, 0.0)
