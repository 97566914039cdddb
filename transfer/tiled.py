"""The loss of a picture and its gradient, tile by tile, the same as of the whole.

Two passes. The first sums what each term needs over all tiles, without autograd; the loss is a
function of these sums alone, and so is its derivative with respect to them. The second goes over
the tiles again and carries that derivative back to their pixels: by the chain rule, the gradient
of ``sum(sums of the tile * derivative)`` over the tiles is the gradient of the loss. The idea is
that of Galerne, Raad, Lezama & Morel, "Scaling Painting Style Transfer" (arXiv 2212.13459), who
derive it for the Gram matrix; here the sums are any, and autograd derives.

Otherwise than there, tiles do not go through the whole network at once: after the first stages, and
after each that follows, the map is put together whole, and cut anew. It is small by then, and tiles
see a few positions around themselves instead of the receptive field of the deepest layer.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from transfer.images import check_finite
from transfer.statistics import Statistics, statistics
from transfer.terms import ContentTerm, Kept, Term
from transfer.tiles import Leg, Tile, cut, halvings, legs

_KEPT_HALVINGS = 2
"""Before so many poolings features are cheap to compute and large to keep: up to 256 bytes a
pixel at relu1_1 of vgg19, with a hundredth of the work of all layers."""

_BAND_ROWS = 128
"""Of the image, looked at together for the smoothness: the rest is not copied."""


class Stages(Protocol):
    """Some stages of a backbone; see `VggBackbone.stages`."""

    def __call__(
        self, activations: Tensor, stages: range, layers: Collection[str], *, has_map: bool
    ) -> tuple[dict[str, Tensor], Tensor | None]:
        """Layers by name, and the map behind."""


@dataclass(frozen=True)
class Part:
    """What a tile answers for: some positions of the layers of one leg, and of the map behind."""

    leg: Leg
    tile: Tile
    layers: dict[str, Tensor]
    map: Tensor | None

    def place(self, layer: str) -> tuple[slice, slice]:
        """Rows and columns of these positions in the whole layer."""
        return self.tile.positions(halvings(layer) - self.leg.first)


class Walk:
    """A way through the layers of a picture, leg by leg and tile by tile.

    Args:
        stages: of the backbone.
        layers: that are wanted.
        height: of the picture, px.
        width: of the picture, px.
        tile_px: longest edge of a tile; if the picture is no larger, it is looked at in one go.
    """

    def __init__(
        self, stages: Stages, layers: Collection[str], height: int, width: int, tile_px: int
    ) -> None:
        self._stages = stages
        self._layers = layers
        self.is_whole = tile_px >= max(height, width)
        self.legs = legs(layers, is_whole=self.is_whole)
        self._tiles = {
            leg: cut(leg, height >> leg.first, width >> leg.first, tile_px, leg.margin(layers))
            for leg in self.legs
        }

    def parts(self, leg: Leg, source: Tensor) -> Iterator[Part]:
        """All tiles of a leg, from its map, for those who only look."""
        for tile in self._tiles[leg]:
            yield self.part(leg, tile, _window(source, tile))

    def part(self, leg: Leg, tile: Tile, window: Tensor) -> Part:
        """One tile, from its window of the leg's map."""
        wanted = [layer for layer in self._layers if leg.has(layer)]
        stages = range(leg.first, leg.last + 1)
        found, behind = self._stages(window, stages, wanted, has_map=not leg.is_end)
        for layer in wanted:
            rows, columns = tile.in_window(halvings(layer) - leg.first)
            found[layer] = found[layer][:, :, rows, columns]
        if behind is not None:
            rows, columns = tile.in_window(leg.poolings)
            behind = behind[:, :, rows, columns]
        return Part(leg, tile, found, behind)

    def forward(self, image: Tensor, visit: Callable[[Part], None]) -> list[Tensor]:
        """Look at all of a picture; the map of each leg, that of the first being the picture."""
        maps = [image]
        with torch.no_grad():
            for leg in self.legs:
                source = maps[-1]
                for part in self.parts(leg, source):
                    visit(part)
                    if part.map is not None:
                        if maps[-1] is source:
                            maps.append(_room_behind(leg, source, part.map))
                        rows, columns = part.tile.positions(leg.poolings)
                        maps[-1][:, :, rows, columns] = part.map
        return maps

    def backward(
        self, maps: list[Tensor], outputs: Callable[[Part], tuple[list[Tensor], list[Tensor]]]
    ) -> Tensor:
        """The gradient with respect to the picture.

        Args:
            maps: from `forward`; given back as soon as they are of no use any more.
            outputs: what the loss depends on in a part, and its derivative with respect to each.
        """
        upstream: Tensor | None = None
        for leg in reversed(self.legs):
            source = maps.pop()
            gradient = torch.zeros_like(source)
            for tile in self._tiles[leg]:
                with torch.enable_grad():
                    window = _window(source, tile).detach().requires_grad_()
                    part = self.part(leg, tile, window)
                    found, given = outputs(part)
                    if part.map is not None and upstream is not None:
                        rows, columns = tile.positions(leg.poolings)
                        found.append(part.map)
                        given.append(upstream[:, :, rows, columns])
                if found:
                    (mine,) = torch.autograd.grad(found, window, given)
                    _window(gradient, tile).add_(mine)
                del part, found, given, window
            upstream = gradient
        assert upstream is not None  # noqa: S101 - there is at least one leg
        return upstream


class TiledLoss:
    """A scalar of an image, whose gradient is computed with it.

    Args:
        walk: through the layers of the terms.
        terms: of the loss; all are functions of sums over positions.
        smoothness_factor: weight of `roughness`.
    """

    def __init__(self, walk: Walk, terms: Sequence[Term], smoothness_factor: float) -> None:
        self._walk = walk
        self._terms = terms
        self._smoothness_factor = smoothness_factor

    def __call__(self, image: Tensor) -> Tensor:
        """The loss, to be differentiated with respect to ``image`` by autograd."""
        loss: Tensor = _WithGradient.apply(image, self)  # type: ignore[no-untyped-call]
        return loss

    def with_gradient(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """The loss and its gradient, of the shape of the image."""
        if self._walk.is_whole:
            loss, gradient = self._at_once(image)
        else:
            loss, gradient = self._in_two_passes(image)
        if self._smoothness_factor:
            loss = loss + _add_roughness(image, gradient, self._smoothness_factor)
        return loss.to(image), gradient

    def _at_once(self, image: Tensor) -> tuple[Tensor, Tensor]:
        (leg,) = self._walk.legs
        with torch.enable_grad():
            image = image.detach().requires_grad_()
            (part,) = self._walk.parts(leg, image)
            loss = self._loss([self._sums(term, part) for term in self._terms])
            (gradient,) = torch.autograd.grad(loss, image)
        return loss.detach(), gradient.contiguous()

    def _in_two_passes(self, image: Tensor) -> tuple[Tensor, Tensor]:
        totals: dict[int, list[Tensor]] = {}

        def add(part: Part) -> None:
            for number, term in enumerate(self._terms):
                if part.leg.has(term.layer):
                    found = [one.double() for one in self._sums(term, part)]
                    for total, one in zip(totals.setdefault(number, found), found, strict=True):
                        if total is not one:
                            total += one

        maps = self._walk.forward(image, add)
        with torch.enable_grad():
            leaves = [
                tuple(one.requires_grad_() for one in totals[number])
                for number in range(len(self._terms))
            ]
            loss = self._loss(leaves)
            flat = [one for found in leaves for one in found]
            slopes = iter(torch.autograd.grad(loss, flat, materialize_grads=True))
        slope_of = [[next(slopes) for _ in found] for found in leaves]

        def outputs(part: Part) -> tuple[list[Tensor], list[Tensor]]:
            found: list[Tensor] = []
            given: list[Tensor] = []
            for term, its_slopes in zip(self._terms, slope_of, strict=True):
                if part.leg.has(term.layer):
                    for one, slope in zip(self._sums(term, part), its_slopes, strict=True):
                        # A sum over what the picture has no part in says nothing of its gradient.
                        if one.requires_grad:
                            found.append(one)
                            given.append(slope.to(one))
            return found, given

        return loss.detach(), self._walk.backward(maps, outputs)

    def _sums(self, term: Term, part: Part) -> tuple[Tensor, ...]:
        return term.sums(part.layers[term.layer], *part.place(term.layer))

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


def content_term(
    walk: Walk, content: Tensor, layer: str, weighed: Callable[[Tensor], Tensor]
) -> ContentTerm:
    """The content term of a photo of the image's size, its features looked at tile by tile.

    Args:
        walk: through this layer.
        content: the photo.
        layer: by which content is compared.
        weighed: see `ContentTerm`.
    """
    kept = Kept()
    whole = _Merged()
    tiles: dict[tuple[int, int], Tile] = {}

    def see(part: Part) -> None:
        found = part.layers.get(layer)
        if found is None:
            return
        check_finite("content features", found)
        whole.add(statistics(found), found.shape[2] * found.shape[3])
        place = part.place(layer)
        if halvings(layer) >= _KEPT_HALVINGS:
            kept.keep(found, *place)
        else:
            tiles[_start(*place)] = part.tile

    walk.forward(content, see)
    known = whole.statistics, whole.positions
    if halvings(layer) >= _KEPT_HALVINGS:
        return ContentTerm(layer, weighed, kept, *known)

    def again(*place: slice) -> Tensor:
        tile = tiles[_start(*place)]
        with torch.no_grad():
            return walk.part(walk.legs[0], tile, _window(content, tile)).layers[layer]

    return ContentTerm(layer, weighed, again, *known)


def _start(rows: slice, columns: slice) -> tuple[int, int]:
    return rows.start, columns.start


def statistics_of(walk: Walk, image: Tensor, layers: Collection[str]) -> dict[str, Statistics]:
    """`statistics` of some layers of an image, looked at tile by tile."""
    whole = {layer: _Merged() for layer in layers}

    def see(part: Part) -> None:
        for layer, found in part.layers.items():
            whole[layer].add(statistics(found), found.shape[2] * found.shape[3])

    walk.forward(image, see)
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


def _window(source: Tensor, tile: Tile) -> Tensor:
    rows, columns = tile.window
    return source[:, :, rows, columns]


def _room_behind(leg: Leg, source: Tensor, part: Tensor) -> Tensor:
    """For the map that a part is of, laid out as convolutions want it."""
    height, width = (edge >> leg.poolings for edge in source.shape[2:])
    return torch.empty(
        (1, part.shape[1], height, width),
        dtype=part.dtype,
        device=part.device,
        memory_format=torch.channels_last,
    )


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
