"""Training pictures: crops of photos, and the student's own paintings."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from transfer.backbones.vgg import CONTENT_LAYER, STYLE_LAYERS, VggBackbone
from transfer.imaging.images import read_image, resize, to_tensor
from transfer.objective.losses import StyleTarget, style_loss, total_variation
from transfer.objective.statistics import statistics
from transfer.optim.iterate import Iterate
from transfer.optim.lbfgs import minimize, with_autograd_gradient

_RECOLORED = 0.3
"""Share of crops that are given the colors of another one, as paintings are."""
_NOISY = 0.25
"""Share of crops with noise: a painting begins with some."""
_NOISE = 0.1
"""Largest standard deviation of that noise."""
_EVALUATIONS = 32
"""Evaluations of a painting."""
_SAMPLED_EVERY = 8
"""Evaluations between two images of a painting that become training pictures."""


def read_pictures(paths: Sequence[Path], crop_px: int) -> list[Tensor]:
    """Read the pictures that are large enough, shape (3, H, W), uint8 to save memory."""
    pictures = []
    for path in paths:
        image = to_tensor(read_image(path))[0]
        if min(image.shape[1:]) >= crop_px:
            pictures.append(image.mul(255.0).round().byte())
    return pictures


def photo_crops(
    pictures: Sequence[Tensor], px: int, count: int, generator: torch.Generator
) -> Tensor:
    """Return random crops of several sizes, resized to one, as paintings have several scales.

    Some are mirrored, some noisy, some in the colors of their neighbor.

    Args:
        pictures: shape (3, H, W), uint8, edges of at least ``px``.
        px: edge of the crops.
        count: number of crops; 0 is allowed.
        generator: source of all random choices.

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
    return torch.where(is_recolored, _match_neighbor_colors(images), images).clamp(0.0, 1.0)


def painted_crops(backbone: VggBackbone, pair: Tensor, generator: torch.Generator) -> Tensor:
    """Paint one crop in the style of another, and return images from early to late.

    The painting has one scale, otherwise it is much like those of `transfer.engine` at default
    strength. A painting minimizes the backbone's loss, so it exploits the backbone's errors.

    Args:
        backbone: the network that paints.
        pair: content and style, shape (2, 3, H, W), RGB, range [0, 1].
        generator: source of the noise in the initial image.

    Returns:
        shape (N, 3, H, W), RGB, range [0, 1].
    """
    content, style = pair[:1], pair[1:]
    with torch.no_grad():
        content_features = backbone.features(content, (CONTENT_LAYER,))[CONTENT_LAYER]
        scale = _energy(content_features - content_features.mean((2, 3), keepdim=True))
        scale = scale + 0.01 * _energy(content_features)
        style_features = backbone.features(style, STYLE_LAYERS)
        targets = {
            layer: StyleTarget.of(statistics(style_features[layer])) for layer in STYLE_LAYERS
        }

    def objective(image: Tensor) -> Tensor:
        features = backbone.features(image, (*STYLE_LAYERS, CONTENT_LAYER))
        # Squared differences, as in the paintings of the time when `compact` was trained.
        content_loss = _energy(features[CONTENT_LAYER] - content_features) / scale
        loss = 0.25 * content_loss + 2.0 * total_variation(image)
        for layer in STYLE_LAYERS:
            loss = loss + style_loss(features[layer], targets[layer]) / len(STYLE_LAYERS)
        return loss

    images = []

    def on_evaluation(iterate: Iterate) -> None:
        if iterate.number % _SAMPLED_EVERY == 0:
            images.append(iterate.image.clamp(0.0, 1.0))

    start = _match_neighbor_colors(pair)[:1]
    start = start + 0.02 * torch.randn(start.shape, generator=generator)
    minimize(start, with_autograd_gradient(objective), _EVALUATIONS, on_evaluation)
    return torch.cat(images)


def _energy(features: Tensor) -> Tensor:
    return features.square().sum()


def _match_neighbor_colors(images: Tensor) -> Tensor:
    """Give each image the mean and deviation of R, G and B of the image before it."""
    mean, deviation = images.mean((2, 3), keepdim=True), images.std((2, 3), keepdim=True)
    normalized = (images - mean) / deviation.clamp_min(0.01)
    return normalized * deviation.roll(1, 0) + mean.roll(1, 0)
