"""A narrow network fitted to VGG-19 layer after layer, without training: where `compact` began."""

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
"""Channels per stage: a quarter of VGG-19's."""


class TrainingImagesMissing(TransferError):
    """The folder has no pictures to learn from."""


@dataclass(frozen=True)
class FitConfig:
    """Everything that decides the weights, apart from the training pictures."""

    widths: tuple[int, ...] = WIDTHS
    images: int = 800
    crop_px: int = 192
    positions: int = 120
    """Sampled per picture and layer; at most the (crop / 16)^2 of the last stage."""
    passes: int = 6
    """Least-squares solutions per layer, see `fit`."""
    ridge: float = 1e-6
    """Relative to the mean squared input."""
    seed: int = 0


@dataclass(frozen=True)
class Student:
    """A narrow network, and which of its teacher's channels each of its layers follows."""

    weights: Weights
    channels: Mapping[str, Tensor]
    """Indices into the teacher's channels, by convolution."""


def fit_student(
    paths: Sequence[Path],
    recipe: FitConfig,
    generator: torch.Generator,
    on_layer: Callable[[str, float], None],
) -> Student:
    """A narrow network, fitted without training.

    Layer after layer: the teacher's channels that span its features best, and the kernels that
    predict them best from what the narrow network itself computes one layer earlier, so that
    each layer also makes up for the errors of those before.

    Args:
        paths: pictures to learn from, in the order in which they are taken; those smaller than
            a crop are left out.
        recipe: everything else that decides the weights, but for the next.
        generator: places the crops.
        on_layer: gets each layer's name and relative error, see `fit`.

    Raises:
        TrainingImagesMissing: if no picture is large enough.
    """
    batches = _crops(paths, recipe, generator)
    teacher = _teacher_samples(batches, vgg19.read_weights(), recipe)
    weights: dict[str, tuple[Tensor, Tensor]] = {}
    kept: dict[str, Tensor] = {}
    student = batches
    for stage, convolutions in enumerate(CONVOLUTIONS):
        if stage > 0:
            student = [F.max_pool2d(batch, 2) for batch in student]
        for layer in convolutions:
            samples = teacher.pop(layer).double()
            channels = select_channels(samples.relu(), recipe.widths[stage])
            targets = samples[:, channels]
            at = _positions(student[0].shape[2], student[0].shape[3], recipe)
            inputs = torch.cat([patches(batch, at) for batch in student])
            kernel, bias, error = fit(inputs, targets, recipe.passes, recipe.ridge)
            # Rounded here, not at the end: the layers after this one then see the rounding too.
            kernel = kernel.reshape(len(channels), -1, 3, 3).half().float()
            weights[layer], kept[layer] = (kernel, bias.half().float()), channels
            student = [F.conv2d(pad_reflect(batch), *weights[layer]).relu_() for batch in student]
            on_layer(layer.replace("conv", "relu"), error)
    return Student(weights, kept)


def to_vgg_input(images: Tensor) -> Tensor:
    """BGR 0..255 minus the mean color, as VGG-19 was trained, from RGB (N, 3, H, W) in [0, 1]."""
    mean = torch.tensor(MEAN_BGR).reshape(1, 3, 1, 1)
    return images.flip(1) * 255.0 - mean


def select_channels(features: Tensor, count: int) -> Tensor:
    """The columns of (N, C) whose span holds most of the others: QR with column pivoting.

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
    """Least-squares map from patches to the teacher's values before its ReLU.

    What lies below zero is lost in the ReLU, so how far below does not matter: after the first
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
    wanted = targets
    for _ in range(passes):
        offset = wanted.mean(dim=0)
        crossed = torch.zeros(inputs.shape[1], targets.shape[1], dtype=torch.float64)
        for part, goal in zip(torch.split(inputs, 8192), torch.split(wanted, 8192), strict=True):
            crossed += (part.double() - mean).T @ (goal - offset)
        solution = torch.cholesky_solve(crossed, factor)  # (D, C)
        bias = offset - (mean @ solution)[0]
        predicted = torch.cat(
            [part @ solution.float() + bias.float() for part in torch.split(inputs, 8192)]
        ).double()
        wanted = torch.where(targets > 0, targets, predicted.clamp_max(0.0))
    missed = (predicted.relu() - targets.relu()).square().sum()
    return solution.T.float(), bias.float(), float(missed / targets.relu().square().sum())


def patches(activations: Tensor, at: Tensor) -> Tensor:
    """What a 3 x 3 kernel sees at some positions.

    Args:
        activations: shape (B, C, H, W).
        at: indices into the H * W positions, shape (N,).

    Returns:
        shape (B * N, C * 9), in the order of a flattened kernel.
    """
    rows, columns = at // activations.shape[3], at % activations.shape[3]
    padded = pad_reflect(activations)
    seen = torch.stack(
        [padded[:, :, rows + dy, columns + dx] for dy in range(3) for dx in range(3)], dim=2
    )  # (B, C, 9, N)
    return seen.permute(0, 3, 1, 2).flatten(2).flatten(0, 1)


def _crops(paths: Sequence[Path], recipe: FitConfig, generator: torch.Generator) -> list[Tensor]:
    """Batches (8, 3, crop, crop), see `to_vgg_input`."""
    crops = []
    for path in paths:
        image = to_tensor(read_image(path))
        height, width = image.shape[2:]
        if min(height, width) < recipe.crop_px:
            continue
        top = int(torch.randint(height - recipe.crop_px + 1, (), generator=generator))
        left = int(torch.randint(width - recipe.crop_px + 1, (), generator=generator))
        crops.append(image[:, :, top : top + recipe.crop_px, left : left + recipe.crop_px])
        if len(crops) == recipe.images:
            break
    if not crops:
        raise TrainingImagesMissing(
            f"At least one picture of {recipe.crop_px} px or more is needed to learn from."
        )
    return [to_vgg_input(batch) for batch in torch.split(torch.cat(crops), 8)]


def _positions(height: int, width: int, recipe: FitConfig) -> Tensor:
    """The same positions of every picture at one resolution, shape (positions,)."""
    generator = torch.Generator().manual_seed(recipe.seed + height)
    return torch.randperm(height * width, generator=generator)[: recipe.positions]


def _teacher_samples(
    batches: Sequence[Tensor], weights: Weights, recipe: FitConfig
) -> dict[str, Tensor]:
    """The teacher's values before each ReLU, shape (B * positions, C), by layer."""
    samples: dict[str, list[Tensor]] = {}
    for batch in batches:
        activations = batch
        for stage, convolutions in enumerate(CONVOLUTIONS):
            if stage > 0:
                activations = F.max_pool2d(activations, 2)
            at = _positions(activations.shape[2], activations.shape[3], recipe)
            for layer in convolutions:
                activations = F.conv2d(pad_reflect(activations), *weights[layer])
                picked = activations.flatten(2)[:, :, at]  # (B, C, positions)
                samples.setdefault(layer, []).append(picked.transpose(1, 2).flatten(0, 1).clone())
                activations = activations.relu_()
    return {layer: torch.cat(parts) for layer, parts in samples.items()}
