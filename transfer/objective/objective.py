"""The loss of a picture and its gradient, whole or tile by tile, which is the same.

The loss is a function of sums over positions: those that the styles' moments are made of, and the
content's correlations. A first pass over the picture sums them; the loss is a function of these
sums alone, and so is its derivative with respect to them. A second pass carries that back to the
pixels: by the chain rule, the gradient of ``sum(sums * derivative)`` is the gradient of the loss,
tile by tile. The idea is that of Galerne, Raad, Lezama & Morel, "Scaling Painting Style Transfer"
(arXiv 2212.13459), who derive it for the Gram matrix; here the sums are any. Where the whole
picture is one tile, the second pass only goes back.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from transfer.features.extractor import TiledExtractor
from transfer.imaging.gamut import clamp, gamut_penalty
from transfer.objective.terms import Term

_BAND_ROWS = 256
"""Of the image, looked at together for the smoothness: the rest is not copied."""


class Objective:
    """A scalar of an image as it will be shown, with its gradient: an `lbfgs.DifferentiableLoss`.

    Args:
        extractor: through the layers of the terms.
        terms: of the loss; all are functions of sums over positions.
        smoothness_factor: weight of the mean squared difference between neighbors, over both
            directions.
    """

    def __init__(
        self, extractor: TiledExtractor, terms: Sequence[Term], smoothness_factor: float
    ) -> None:
        self._extractor = extractor
        self._terms = terms
        self._smoothness_factor = smoothness_factor

    @torch.no_grad()
    def __call__(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """The loss and its gradient, of the shape of the image."""
        sums: list[list[Tensor]] = [[] for _ in self._terms]

        def on_tile(layer: str, features: Tensor, rows: slice, columns: slice) -> None:
            for term, totals in zip(self._terms, sums, strict=True):
                if term.layer == layer:
                    found = [one.double() for one in term.sums(features, rows, columns)]
                    if totals:
                        for total, one in zip(totals, found, strict=True):
                            total += one
                    else:
                        totals += found

        back = self._extractor.forward_saving(image, on_tile)
        told = [
            term.value_and_gradients(found) for term, found in zip(self._terms, sums, strict=True)
        ]

        def gradient_for(
            layer: str, features: Tensor, rows: slice, columns: slice
        ) -> Tensor | None:
            gradient: Tensor | None = None
            for term, (_, gradients) in zip(self._terms, told, strict=True):
                if term.layer == layer:
                    mine = term.backward(features, gradients, rows, columns)
                    gradient = mine if gradient is None else gradient.add_(mine)
            return gradient

        loss = torch.stack([addend for addend, _ in told]).sum()
        gradient = back(gradient_for)
        if self._smoothness_factor:
            loss = loss + _add_roughness(image, gradient, self._smoothness_factor)
        loss = loss + gamut_penalty(image, gradient)
        return loss.to(image), gradient


def _add_roughness(image: Tensor, gradient: Tensor, factor: float) -> Tensor:
    """The weighted smoothness, in bands of rows; its gradient is added to ``gradient``."""
    _, channels, height, width = image.shape
    of_downs = factor / max(1, channels * (height - 1) * width)
    of_acrosses = factor / max(1, channels * height * (width - 1))
    total = torch.zeros((), dtype=torch.float64, device=image.device)
    for top in range(0, height, _BAND_ROWS):
        bottom = min(top + _BAND_ROWS, height)
        # One row more: the step down from the last row belongs to this band.
        band, its = clamp(image[:, :, top : bottom + 1]), gradient[:, :, top : bottom + 1]
        down = band[:, :, 1:] - band[:, :, :-1]
        own, of_own = band[:, :, : bottom - top], its[:, :, : bottom - top]
        across = own[..., 1:] - own[..., :-1]
        total += of_downs * down.square().sum() + of_acrosses * across.square().sum()
        its[:, :, 1:].add_(down, alpha=2.0 * of_downs)
        its[:, :, :-1].sub_(down, alpha=2.0 * of_downs)
        of_own[..., 1:].add_(across, alpha=2.0 * of_acrosses)
        of_own[..., :-1].sub_(across, alpha=2.0 * of_acrosses)
    return total
