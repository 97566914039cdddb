"""Least-squares fit of a narrow network to VGG-19, layer after layer: the start of `compact`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from transfer.backbones import vgg19
from transfer.backbones.vgg import CONVOLUTIONS, MEAN_BGR, Weights, pad_reflect
from transfer.errors import TransferError
from transfer.imaging.images import read_image, to_tensor

WIDTHS = (16, 32, 64, 128, 128)
"""Number of channels by stage: a quarter of VGG-19's."""


class TrainingImagesMissing(TransferError):
    """No picture in the folder is large enough to learn from."""


@dataclass(frozen=True)
class FitConfig:
    """Settings of the fit, apart from the training pictures."""

    widths: tuple[int, ...] = WIDTHS
    images: int = 800
    """Largest number of pictures."""
    crop_px: int = 192
    positions: int = 120
    """Positions sampled per picture and layer; at most the (crop / 16)^2 of the last stage."""
    passes: int = 6
    """Least-squares solutions per layer, see `fit`."""
    ridge: float = 1e-6
    """Ridge penalty, relative to the mean squared input."""
    seed: int = 0


@dataclass(frozen=True)
class Student:
    """A narrow network, and the teacher's channels that each of its layers follows."""

    weights: Weights
    channels: Mapping[str, Tensor]
    """Indices into the teacher's channels, by convolution."""


def fit_student(
    paths: Sequence[Path],
    config: FitConfig,
    generator: torch.Generator,
    on_layer: Callable[[str, float], None],
) -> Student:
    """Fit a narrow network by least squares, layer after layer.

    A layer follows the teacher's channels that span its features best. Its kernels predict these
    from what the narrow network itself computes one layer earlier, so that each layer also corrects
    the errors of those before.

    Args:
        paths: pictures to learn from, the first ones first; those smaller than a crop are left out.
        config: settings of the fit.
        generator: source of the places of the crops.
        on_layer: called with each layer's name and relative error, see `fit`.

    Raises:
        TrainingImagesMissing: if no picture is large enough.
    """
    batches = _crops(paths, config, generator)
    teacher = _teacher_samples(batches, vgg19.read_weights(), config)
    weights: dict[str, tuple[Tensor, Tensor]] = {}
    channels_by_layer: dict[str, Tensor] = {}
    student = batches
    for stage, convolutions in enumerate(CONVOLUTIONS):
        if stage > 0:
            student = [F.max_pool2d(batch, 2) for batch in student]
        for layer in convolutions:
            samples = teacher.pop(layer).double()
            channels = select_channels(samples.relu(), config.widths[stage])
            targets = samples[:, channels]
            at = _positions(student[0].shape[2], student[0].shape[3], config)
            inputs = torch.cat([patches(batch, at) for batch in student])
            kernel, bias, error = fit(inputs, targets, config.passes, config.ridge)
            # Rounded here, not at the end, so that later layers are fitted to rounded inputs.
            kernel = kernel.reshape(len(channels), -1, 3, 3).half().float()
            weights[layer] = kernel, bias.half().float()
            channels_by_layer[layer] = channels
            student = [F.conv2d(pad_reflect(batch), *weights[layer]).relu_() for batch in student]
            on_layer(layer.replace("conv", "relu"), error)
    return Student(weights, channels_by_layer)


def to_vgg_input(images: Tensor) -> Tensor:
    """Convert RGB (N, 3, H, W) in [0, 1] to VGG-19's BGR in [0, 255] minus the mean color."""
    mean = torch.tensor(MEAN_BGR).reshape(1, 3, 1, 1)
    return images.flip(1) * 255.0 - mean


def select_channels(features: Tensor, count: int) -> Tensor:
    """Return the columns of (N, C) whose span holds most of the others: QR with column pivoting.

    Computed as the pivoted Cholesky factorization of the second moments, which picks the same
    columns and never holds more than (C, C).

    Returns:
        indices, shape (count,), ascending.
    """
    residual = features.T @ features
    chosen: list[int] = []
    for _ in range(count):
        pivot = int(residual.diagonal().argmax())
        chosen.append(pivot)
        column = residual[:, pivot] / residual[pivot, pivot].clamp_min(1e-30).sqrt()
        residual = residual - torch.outer(column, column)
        residual[pivot, :] = 0.0
        residual[:, pivot] = 0.0
    return torch.tensor(sorted(chosen))


def fit(inputs: Tensor, targets: Tensor, passes: int, ridge: float) -> tuple[Tensor, Tensor, float]:
    """Fit the least-squares map from patches to the teacher's values before its ReLU.

    The ReLU sets all values below zero to zero, so how far below does not matter: after the first
    solution, negative targets are replaced by the prediction where that is negative too, and
    the system is solved again.

    Args:
        inputs: patches, shape (N, D).
        targets: shape (N, C), float64.
        passes: solutions, at least 1.
        ridge: relative to the mean squared input.

    Returns:
        kernel (C, D), bias (C,), and the squared error of the values after ReLU, relative to
        their squares.
    """
    mean = inputs.mean(dim=0, keepdim=True).double()
    moments = torch.zeros(inputs.shape[1], inputs.shape[1], dtype=torch.float64)
    for part in torch.split(inputs, 8192):
        centered = part.double() - mean
        moments += centered.T @ centered
    moments.diagonal().add_(ridge * moments.diagonal().mean())
    factor = torch.linalg.cholesky(moments)
    goals = targets
    for _ in range(passes):
        offset = goals.mean(dim=0)
        crossed = torch.zeros(inputs.shape[1], targets.shape[1], dtype=torch.float64)
        for part, goal in zip(torch.split(inputs, 8192), torch.split(goals, 8192), strict=True):
            crossed += (part.double() - mean).T @ (goal - offset)
        solution = torch.cholesky_solve(crossed, factor)  # (D, C)
        bias = offset - (mean @ solution)[0]
        predicted = torch.cat(
            [part @ solution.float() + bias.float() for part in torch.split(inputs, 8192)]
        ).double()
        goals = torch.where(targets > 0, targets, predicted.clamp_max(0.0))
    missed = (predicted.relu() - targets.relu()).square().sum()
    return solution.T.float(), bias.float(), float(missed / targets.relu().square().sum())


def patches(activations: Tensor, at: Tensor) -> Tensor:
    """Return the inputs of a 3 x 3 kernel at some positions.

    Args:
        activations: shape (B, C, H, W).
        at: indices into the H * W positions, shape (N,).

    Returns:
        shape (B * N, C * 9), in the order of a flattened kernel.
    """
    rows, columns = at // activations.shape[3], at % activations.shape[3]
    padded = pad_reflect(activations)
    neighbors = torch.stack(
        [padded[:, :, rows + dy, columns + dx] for dy in range(3) for dx in range(3)], dim=2
    )  # (B, C, 9, N)
    return neighbors.permute(0, 3, 1, 2).flatten(2).flatten(0, 1)


def _crops(paths: Sequence[Path], config: FitConfig, generator: torch.Generator) -> list[Tensor]:
    """Return crops in batches (8, 3, crop, crop), see `to_vgg_input`."""
    crops = []
    for path in paths:
        image = to_tensor(read_image(path))
        height, width = image.shape[2:]
        if min(height, width) < config.crop_px:
            continue
        top = int(torch.randint(height - config.crop_px + 1, (), generator=generator))
        left = int(torch.randint(width - config.crop_px + 1, (), generator=generator))
        crops.append(image[:, :, top : top + config.crop_px, left : left + config.crop_px])
        if len(crops) == config.images:
            break
    if not crops:
        raise TrainingImagesMissing(
            f"At least one picture of {config.crop_px} px or more is needed to learn from."
        )
    return [to_vgg_input(batch) for batch in torch.split(torch.cat(crops), 8)]


def _positions(height: int, width: int, config: FitConfig) -> Tensor:
    """Return the positions to sample at one resolution, in all pictures, shape (positions,)."""
    generator = torch.Generator().manual_seed(config.seed + height)
    return torch.randperm(height * width, generator=generator)[: config.positions]


def _teacher_samples(
    batches: Sequence[Tensor], weights: Weights, config: FitConfig
) -> dict[str, Tensor]:
    """Return the teacher's values before each ReLU by layer, shape (B * positions, C)."""
    samples: dict[str, list[Tensor]] = {}
    for batch in batches:
        activations = batch
        for stage, convolutions in enumerate(CONVOLUTIONS):
            if stage > 0:
                activations = F.max_pool2d(activations, 2)
            at = _positions(activations.shape[2], activations.shape[3], config)
            for layer in convolutions:
                activations = F.conv2d(pad_reflect(activations), *weights[layer])
                picked = activations.flatten(2)[:, :, at]  # (B, C, positions)
                samples.setdefault(layer, []).append(picked.transpose(1, 2).flatten(0, 1).clone())
                activations = activations.relu_()
    return {layer: torch.cat(parts) for layer, parts in samples.items()}
