"""How `compact` was made: a narrow network fitted to VGG-19 by least squares, without training.

``python -m transfer.distill --images ../shared/training-images``; `docs/compact.md` explains it.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
import torch
import torch.nn.functional as F
from torch import Tensor

from transfer.backbones import compact, vgg19
from transfer.backbones.vgg import CONVOLUTIONS, MEAN_BGR, Weights, reflected
from transfer.errors import TransferError
from transfer.images import read_image, to_tensor

WIDTHS = (16, 32, 64, 128, 128)
"""Channels per stage: a quarter of VGG-19's."""


class TrainingImagesMissing(TransferError):
    """The folder has no pictures to learn from."""


@dataclass(frozen=True)
class Recipe:
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


def distill(
    paths: Sequence[Path], recipe: Recipe, on_layer: Callable[[str, float], None]
) -> dict[str, Tensor]:
    """Weights of the narrow network, in half precision, by name.

    Layer after layer: the teacher's channels that span its features best, and the kernels that
    predict them best from what the narrow network itself computes one layer earlier, so that
    each layer also makes up for the errors of those before.

    Args:
        paths: pictures to learn from; those smaller than a crop are left out.
        recipe: everything else that decides the weights.
        on_layer: gets each layer's name and relative error, see `fit`.

    Raises:
        TrainingImagesMissing: if no picture is large enough.
    """
    generator = torch.Generator().manual_seed(recipe.seed)
    batches = _crops(paths, recipe, generator)
    teacher = _teacher_samples(batches, vgg19.read_weights(), recipe)
    weights: dict[str, Tensor] = {}
    student = batches
    for stage, convolutions in enumerate(CONVOLUTIONS):
        if stage > 0:
            student = [F.max_pool2d(batch, 2) for batch in student]
        for layer in convolutions:
            samples = teacher.pop(layer).double()
            channels = spanning_channels(samples.relu(), recipe.widths[stage])
            targets = samples[:, channels]
            inputs = torch.cat([_patches(batch, recipe) for batch in student])
            kernel, bias, error = fit(inputs, targets, recipe.passes, recipe.ridge)
            # Rounded here, not at the end: the layers after this one then see the rounding too.
            kernel = kernel.reshape(len(channels), -1, 3, 3).half()
            weights[f"{layer}.weight"], weights[f"{layer}.bias"] = kernel, bias.half()
            student = [
                F.conv2d(reflected(batch), kernel.float(), bias.half().float()).relu_()
                for batch in student
            ]
            on_layer(layer.replace("conv", "relu"), error)
    return weights


def spanning_channels(features: Tensor, count: int) -> Tensor:
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


def _crops(paths: Sequence[Path], recipe: Recipe, generator: torch.Generator) -> list[Tensor]:
    """Batches (8, 3, crop, crop), BGR 0..255 minus the mean color, as the teacher was trained."""
    crops = []
    for index in torch.randperm(len(paths), generator=generator).tolist():
        image = to_tensor(read_image(paths[index]))
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
    mean = torch.tensor(MEAN_BGR).reshape(1, 3, 1, 1)
    return [batch.flip(1) * 255.0 - mean for batch in torch.split(torch.cat(crops), 8)]


def _positions(height: int, width: int, recipe: Recipe) -> Tensor:
    """The same positions of every picture at one resolution, shape (positions,)."""
    generator = torch.Generator().manual_seed(recipe.seed + height)
    return torch.randperm(height * width, generator=generator)[: recipe.positions]


def _patches(batch: Tensor, recipe: Recipe) -> Tensor:
    """3 x 3 patches at the sampled positions, shape (B * positions, C * 9)."""
    height, width = batch.shape[2:]
    at = _positions(height, width, recipe)
    rows, columns = at // width, at % width
    padded = reflected(batch)
    patches = torch.stack(
        [padded[:, :, rows + dy, columns + dx] for dy in range(3) for dx in range(3)], dim=2
    )  # (B, C, 9, positions)
    return patches.permute(0, 3, 1, 2).flatten(2).flatten(0, 1)


def _teacher_samples(
    batches: Sequence[Tensor], weights: Weights, recipe: Recipe
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
                activations = F.conv2d(reflected(activations), *weights[layer])
                picked = activations.flatten(2)[:, :, at]  # (B, C, positions)
                samples.setdefault(layer, []).append(picked.transpose(1, 2).flatten(0, 1).clone())
                activations = activations.relu_()
    return {layer: torch.cat(parts) for layer, parts in samples.items()}


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the weights and store them where `compact` reads them."""
    recipe = Recipe()
    parser = argparse.ArgumentParser(prog="python -m transfer.distill", description=main.__doc__)
    parser.add_argument("--images", type=Path, required=True, help="a folder of pictures")
    parser.add_argument("--seed", type=int, default=recipe.seed)
    parser.add_argument(
        "-o", "--output", type=Path, default=Path(compact.__file__).with_name(compact.DATA_FILE)
    )
    options = parser.parse_args(arguments)
    paths = sorted(path for path in options.images.glob("*") if path.is_file())
    with torch.no_grad():
        weights = distill(
            paths,
            Recipe(seed=options.seed),
            lambda layer, error: print(f"{layer}  {error:.3f}", flush=True),
        )
    safetensors.torch.save_file(weights, options.output)
    print(f"{options.output}: {options.output.stat().st_size / 1e6:.2f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
