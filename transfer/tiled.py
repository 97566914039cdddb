"""The loss of a picture and its gradient, tile by tile, the same as of the whole.

Two passes. The first sums what each term needs over all tiles, without autograd; the loss is a
function of these sums alone, and so is its derivative with respect to them. The second goes over
the tiles again and carries that derivative back to their pixels: by the chain rule, the gradient
of ``sum(sums of the tile * derivative)`` over the tiles is the gradient of the loss. The idea is
that of Galerne, Raad, Lezama & Morel, "Scaling Painting Style Transfer" (arXiv 2212.13459), who
derive it for the Gram matrix; here the sums are any, and autograd derives.
"""

from collections.abc import Callable, Collection, Sequence
from typing import Any

import torch
from torch import Tensor

from transfer.images import check_finite
from transfer.statistics import Statistics, statistics
from transfer.terms import ContentTerm, Kept, Term
from transfer.tiles import Tile, halvings

Features = Callable[[Tensor, Collection[str]], dict[str, Tensor]]

_KEPT_HALVINGS = 2
"""Before so many poolings features are cheap to compute and large to keep: up to 256 bytes a
pixel at relu1_1 of vgg19, with a hundredth of the work of all layers."""

_BAND_ROWS = 128
"""Of the image, looked at together for the smoothness: the rest is not copied."""


class TiledLoss:
    """A scalar of an image, whose gradient is computed with it.

    Args:
        features: of a window of the image, by layer.
        terms: of the loss; all are functions of sums over positions.
        tiles: of the image.
        smoothness_factor: weight of `roughness`.
    """

    def __init__(
        self,
        features: Features,
        terms: Sequence[Term],
        tiles: Sequence[Tile],
        smoothness_factor: float,
    ) -> None:
        self._features = features
        self._terms = terms
        self._layers = {term.layer for term in terms}
        self._tiles = tiles
        self._smoothness_factor = smoothness_factor

    def __call__(self, image: Tensor) -> Tensor:
        """The loss, to be differentiated with respect to ``image`` by autograd."""
        loss: Tensor = _WithGradient.apply(image, self)  # type: ignore[no-untyped-call]
        return loss

    def with_gradient(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """The loss and its gradient, of the shape of the image."""
        gradient = torch.zeros_like(image)
        if len(self._tiles) == 1:
            loss = self._at_once(image, gradient)
        else:
            loss = self._in_two_passes(image, gradient)
        if self._smoothness_factor:
            loss = loss + _add_roughness(image, gradient, self._smoothness_factor)
        return loss.to(image), gradient

    def _at_once(self, image: Tensor, gradient: Tensor) -> Tensor:
        (tile,) = self._tiles
        with torch.enable_grad():
            window = image.detach().requires_grad_()
            loss = self._loss(self._sums(window, tile))
            (part,) = torch.autograd.grad(loss, window)
        gradient += part
        return loss.detach()

    def _in_two_passes(self, image: Tensor, gradient: Tensor) -> Tensor:
        totals = None
        with torch.no_grad():
            for tile in self._tiles:
                found = self._sums(_window(image, tile), tile)
                if totals is None:
                    totals = [[one.double() for one in sums] for sums in found]
                else:
                    for total, sums in zip(totals, found, strict=True):
                        for entry, one in zip(total, sums, strict=True):
                            entry += one
        assert totals is not None  # noqa: S101 - a picture has at least one tile
        with torch.enable_grad():
            leaves = [tuple(one.requires_grad_() for one in sums) for sums in totals]
            loss = self._loss(leaves)
            slopes = torch.autograd.grad(loss, _flat(leaves), materialize_grads=True)
        for tile in self._tiles:
            with torch.enable_grad():
                window = _window(image, tile).detach().requires_grad_()
                found = self._sums(window, tile)
                # A sum over what the picture has no part in says nothing of its gradient.
                outputs, given = zip(
                    *(
                        (one, slope.to(one))
                        for one, slope in zip(_flat(found), slopes, strict=True)
                        if one.requires_grad
                    ),
                    strict=True,
                )
                (part,) = torch.autograd.grad(outputs, window, given)
            _window(gradient, tile).add_(part)
        return loss.detach()

    def _sums(self, window: Tensor, tile: Tile) -> list[tuple[Tensor, ...]]:
        found = self._features(window, self._layers)
        return [
            term.sums(_part(found[term.layer], tile, term.layer), *tile.positions(term.layer))
            for term in self._terms
        ]

    def _loss(self, sums: Sequence[tuple[Tensor, ...]]) -> Tensor:
        losses = [term.loss(found) for term, found in zip(self._terms, sums, strict=True)]
        return torch.stack(losses).sum()


class _WithGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, image: Tensor, loss: TiledLoss) -> Tensor:
        value, ctx.gradient = loss.with_gradient(image)
        return value

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        result: Tensor = ctx.gradient.mul_(gradients[0])
        del ctx.gradient
        return result, None


def _flat(sums: Sequence[tuple[Tensor, ...]]) -> list[Tensor]:
    return [one for found in sums for one in found]


def content_term(
    features: Features,
    content: Tensor,
    layer: str,
    weighed: Callable[[Tensor], Tensor],
    tiles: Sequence[Tile],
) -> ContentTerm:
    """The content term of a photo of the image's size, its features looked at tile by tile."""

    def of(tile: Tile) -> Tensor:
        return _part(features(_window(content, tile), (layer,))[layer], tile, layer)

    kept = Kept()
    whole = _Merged()
    for tile in tiles:
        found = of(tile)
        check_finite("content features", found)
        whole.add(statistics(found), found.shape[2] * found.shape[3])
        if halvings(layer) >= _KEPT_HALVINGS:
            kept.keep(found, *tile.positions(layer))
    known = whole.statistics, whole.positions
    if halvings(layer) >= _KEPT_HALVINGS:
        return ContentTerm(layer, weighed, kept, *known)
    starts = {_start(*tile.positions(layer)): tile for tile in tiles}
    return ContentTerm(layer, weighed, lambda *place: of(starts[_start(*place)]), *known)


def _start(rows: slice, columns: slice) -> tuple[int, int]:
    return rows.start, columns.start


def statistics_of(
    features: Features, image: Tensor, layers: Collection[str], tiles: Sequence[Tile]
) -> dict[str, Statistics]:
    """`statistics` of some layers of an image, looked at tile by tile."""
    whole = {layer: _Merged() for layer in layers}
    for tile in tiles:
        found = features(_window(image, tile), layers)
        for layer in layers:
            part = _part(found.pop(layer), tile, layer)
            whole[layer].add(statistics(part), part.shape[2] * part.shape[3])
    return {
        layer: Statistics(merged.statistics.mean.to(image), merged.statistics.covariance.to(image))
        for layer, merged in whole.items()
    }


class _Merged:
    """Statistics of parts, put together.

    Chan, Golub & LeVeque, "Updating Formulae and a Pairwise Algorithm for Computing Sample
    Variances" (1979): each part is centered on its own mean, so nothing cancels.
    """

    def __init__(self) -> None:
        self.positions = 0
        self.statistics = Statistics(torch.zeros(()), torch.zeros(()))

    def add(self, part: Statistics, positions: int) -> None:
        """Take in the statistics of so many more positions."""
        self.positions += positions
        share = positions / self.positions
        before = self.statistics
        apart = part.mean.double() - before.mean
        self.statistics = Statistics(
            before.mean + share * apart,
            (1.0 - share) * before.covariance
            + share * part.covariance.double()
            + share * (1.0 - share) * (apart @ apart.T if self.positions > positions else 0.0),
        )


def _window(image: Tensor, tile: Tile) -> Tensor:
    rows, columns = tile.window
    return image[:, :, rows, columns]


def _part(features: Tensor, tile: Tile, layer: str) -> Tensor:
    """The positions that the tile answers for, of those that it sees."""
    rows, columns = tile.in_window(layer)
    return features[:, :, rows, columns]


def _add_roughness(image: Tensor, gradient: Tensor, factor: float) -> Tensor:
    """Weighted `roughness` in bands of rows; its gradient is added to ``gradient``."""
    _, channels, height, width = image.shape
    downs = channels * (height - 1) * width
    acrosses = channels * height * (width - 1)
    total = torch.zeros((), dtype=torch.float64, device=image.device)
    for top in range(0, height, _BAND_ROWS):
        bottom = min(top + _BAND_ROWS, height)
        with torch.enable_grad():
            # One row more: the step down from the last row belongs to this band.
            band = image[:, :, top : bottom + 1].detach().requires_grad_()
            down = (band[:, :, 1:] - band[:, :, :-1]).square().sum() / max(1, downs)
            own = band[:, :, : bottom - top]
            across = (own[..., 1:] - own[..., :-1]).square().sum() / max(1, acrosses)
            loss = factor * (down + across)
            (part,) = torch.autograd.grad(loss, band)
        gradient[:, :, top : bottom + 1] += part
        total += loss.detach()
    return total
