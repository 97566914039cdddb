"""What a network is shown while it is trained: crops of photos, and paintings of its own."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from transfer.backbones.vgg import CONTENT_LAYER, STYLE_LAYERS, VggBackbone
from transfer.imaging.images import read_image, resize, to_tensor
from transfer.objective.losses import StyleTarget, style_loss, total_variation
from transfer.objective.statistics import statistics
from transfer.optim.lbfgs import Iterate, minimize, with_autograd_gradient

_RECOLORED = 0.3
"""Share of crops that take over the colors of another one, as paintings do."""
_NOISY = 0.25
_NOISE = 0.1
"""Share of crops with noise, and its largest standard deviation: a painting begins with some."""
_EVALUATIONS = 32
_SHOWN_EVERY = 8
"""Evaluations of a painting, and between two states of it that are shown."""


def read_pictures(paths: Sequence[Path], crop_px: int) -> list[Tensor]:
    """Those that are large enough, shape (3, H, W), uint8: floats would take four times as much."""
    pictures = []
    for path in paths:
        image = to_tensor(read_image(path))[0]
        if min(image.shape[1:]) >= crop_px:
            pictures.append(image.mul(255.0).round().byte())
    return pictures


def photo_crops(
    pictures: Sequence[Tensor], px: int, count: int, generator: torch.Generator
) -> Tensor:
    """Crops of any size that fits, since paintings are seen at several scales.

    Some are mirrored, some noisy, some in the colors of their neighbor.

    Args:
        pictures: shape (3, H, W), uint8, edges of at least ``px``.
        px: edge of the crops.
        count: how many; 0 is allowed.
        generator: chooses.

    Returns:
        shape (count, 3, px, px), RGB, range [0, 1].
    """
    if count == 0:
        return torch.empty(0, 3, px, px)
    crops = []
    for index in torch.randint(len(pictures), (count,), generator=generator).tolist():
        height, width = pictures[index].shape[1:]
        size, down, right, mirrored, noisy, noise = torch.rand(6, generator=generator).tolist()
        side = px + int(size * (min(height, width) - px + 1))
        top, left = int(down * (height - side + 1)), int(right * (width - side + 1))
        crop = pictures[index][None, :, top : top + side, left : left + side].float() / 255.0
        crop = resize(crop, px, px)
        if mirrored < 0.5:
            crop = crop.flip(3)
        if noisy < _NOISY:
            crop = crop + _NOISE * noise * torch.randn(crop.shape, generator=generator)
        crops.append(crop)
    images = torch.cat(crops)
    is_recolored = torch.rand(count, 1, 1, 1, generator=generator) < _RECOLORED
    return torch.where(is_recolored, _recolored(images), images).clamp(0.0, 1.0)


def painted_crops(backbone: VggBackbone, pair: Tensor, generator: torch.Generator) -> Tensor:
    """States of a painting of one crop in the style of another, from early to late.

    Painted at one scale, much as `transfer.engine` does at default strength. A painting ends where
    the backbone is content; whatever it overlooks or imagines is therefore strongest there.

    Args:
        backbone: by which to paint.
        pair: content and style, shape (2, 3, H, W), RGB, range [0, 1].
        generator: draws the noise of the start.

    Returns:
        shape (N, 3, H, W), RGB, range [0, 1].
    """
    content, style = pair[:1], pair[1:]
    with torch.no_grad():
        shown_content = backbone.features(content, (CONTENT_LAYER,))[CONTENT_LAYER]
        scale = _energy(shown_content - shown_content.mean((2, 3), keepdim=True))
        scale = scale + 0.01 * _energy(shown_content)
        features = backbone.features(style, STYLE_LAYERS)
        targets = {layer: StyleTarget.of(statistics(features[layer])) for layer in STYLE_LAYERS}

    def objective(image: Tensor) -> Tensor:
        found = backbone.features(image, (*STYLE_LAYERS, CONTENT_LAYER))
        # Squared differences, as paintings had when the shipped network was taught.
        content_loss = _energy(found[CONTENT_LAYER] - shown_content) / scale
        loss = 0.25 * content_loss + 2.0 * total_variation(image)
        for layer in STYLE_LAYERS:
            loss = loss + style_loss(found[layer], targets[layer]) / len(STYLE_LAYERS)
        return loss

    shown = []

    def keep(found: Iterate) -> None:
        if found.number % _SHOWN_EVERY == 0:
            shown.append(found.image.clamp(0.0, 1.0))

    start = _recolored(pair)[:1]
    start = start + 0.02 * torch.randn(start.shape, generator=generator)
    minimize(start, with_autograd_gradient(objective), _EVALUATIONS, keep)
    return torch.cat(shown)


def _energy(features: Tensor) -> Tensor:
    return features.square().sum()


def _recolored(images: Tensor) -> Tensor:
    """Each in the colors of the one before it: means and deviations of R, G and B."""
    mean, deviation = images.mean((2, 3), keepdim=True), images.std((2, 3), keepdim=True)
    plain = (images - mean) / deviation.clamp_min(0.01)
    return plain * deviation.roll(1, 0) + mean.roll(1, 0)
