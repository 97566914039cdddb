"""The loss of a picture and its gradient; both are the same whole or tile by tile.

The loss is a function of sums over positions: the moments of the styles, and the correlations of
the content. A first pass over the picture adds them up; the loss is a function of these sums alone,
and so is its derivative with respect to them. A second pass carries that back to the pixels: by the
chain rule, the gradient of ``sum(sums * derivative)`` is the gradient of the loss, tile by tile.
The idea is that of Galerne, Raad, Lezama & Morel, "Scaling Painting Style Transfer" (arXiv
2212.13459), who derive it for the Gram matrix; here the sums are any. Where the whole picture is
one tile, the second pass is a backward pass only.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from transfer.features.extractor import TiledExtractor
from transfer.imaging.gamut import clamp, gamut_penalty
from transfer.objective.terms import Term

_BAND_ROWS = 256
"""Rows of the image that the total variation takes at a time, to copy no more than these."""


class Objective:
    """Loss of an image, clamped to [0, 1], with its gradient: an `lbfgs.DifferentiableLoss`.

    Args:
        extractor: extractor of the terms' layers.
        terms: terms of the loss, functions of sums over positions.
        smoothness_factor: weight of `losses.total_variation`.
    """

    def __init__(
        self, extractor: TiledExtractor, terms: Sequence[Term], smoothness_factor: float
    ) -> None:
        self._extractor = extractor
        self._terms = terms
        self._smoothness_factor = smoothness_factor

    @torch.no_grad()
    def __call__(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Return the loss, shape (), and its gradient, of the shape of the image (1, C, H, W)."""
        sums: list[list[Tensor]] = [[] for _ in self._terms]

        def on_tile(layer: str, features: Tensor, rows: slice, columns: slice) -> None:
            for term, totals in zip(self._terms, sums, strict=True):
                if term.layer == layer:
                    tile_sums = list(term.sums(features, rows, columns))
                    if totals:
                        for total, value in zip(totals, tile_sums, strict=True):
                            total += value
                    else:
                        totals += tile_sums

        backward = self._extractor.forward_saving(image, on_tile)
        evaluated = [
            term.value_and_gradients(totals) for term, totals in zip(self._terms, sums, strict=True)
        ]

        def gradient_for(
            layer: str, features: Tensor, rows: slice, columns: slice
        ) -> Tensor | None:
            gradient: Tensor | None = None
            for term, (_, sum_gradients) in zip(self._terms, evaluated, strict=True):
                if term.layer == layer:
                    term_gradient = term.backward(features, sum_gradients, rows, columns)
                    gradient = term_gradient if gradient is None else gradient.add_(term_gradient)
            return gradient

        loss = torch.stack([value for value, _ in evaluated]).sum()
        gradient = backward(gradient_for)
        if self._smoothness_factor:
            loss = loss + _add_total_variation(image, gradient, self._smoothness_factor)
        loss = loss + gamut_penalty(image, gradient)
        return loss.to(image), gradient


def _add_total_variation(image: Tensor, gradient: Tensor, factor: float) -> Tensor:
    """Return `losses.total_variation` of the clamped image times a factor.

    Its gradient is added to ``gradient`` in place.
    """
    _, channels, height, width = image.shape
    down_factor = factor / max(1, channels * (height - 1) * width)
    across_factor = factor / max(1, channels * height * (width - 1))
    total = torch.zeros((), dtype=torch.float64, device=image.device)
    for top in range(0, height, _BAND_ROWS):
        bottom = min(top + _BAND_ROWS, height)
        # One row more: the step down from the last row belongs to this band.
        band = clamp(image[:, :, top : bottom + 1])
        band_gradient = gradient[:, :, top : bottom + 1]
        down = band[:, :, 1:] - band[:, :, :-1]
        rows, rows_gradient = band[:, :, : bottom - top], band_gradient[:, :, : bottom - top]
        across = rows[..., 1:] - rows[..., :-1]
        total += down_factor * down.square().sum() + across_factor * across.square().sum()
        band_gradient[:, :, 1:].add_(down, alpha=2.0 * down_factor)
        band_gradient[:, :, :-1].sub_(down, alpha=2.0 * down_factor)
        rows_gradient[..., 1:].add_(across, alpha=2.0 * across_factor)
        rows_gradient[..., :-1].sub_(across, alpha=2.0 * across_factor)
    return total
