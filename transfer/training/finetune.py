"""Trains all layers of a narrow network at once, from the least-squares fit.

Four things make it affordable without a GPU. The start is a least-squares solution, so little is
left to learn. Each kernel is trained along the principal axes of its inputs, where one step size
suits all directions. The teacher's features of a crop are stored and used several times. And both
networks compute in bfloat16, which recent CPUs do several times faster.
"""

import math
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from transfer.backbones.vgg import (
    CONTENT_LAYER,
    CONVOLUTIONS,
    STYLE_LAYERS,
    VggBackbone,
    Weights,
    pad_reflect,
)
from transfer.errors import CheckpointUnusable
from transfer.training.data import painted_crops, photo_crops
from transfer.training.layer_fit import Student, patches, to_vgg_input

LAYERS = tuple(layer for stage in CONVOLUTIONS for layer in stage)
TRAINED = LAYERS[len(CONVOLUTIONS[0]) :]
"""Trained layers: all but the first stage, where least squares leave an error of 0.003."""
_BEFORE = dict(zip(LAYERS[1:], LAYERS, strict=False))
_STAGE_BEGINNINGS = frozenset(stage[0] for stage in CONVOLUTIONS)
_LAST_FIXED = _BEFORE[TRAINED[0]]
_PARTS = 2
"""Parts of a batch, each computed by its own thread: these synchronize once a step, where the
threads of each convolution would do so a hundred times, waiting for the slowest each time."""

_LAYER_WEIGHTS = {
    layer: 1.0 if layer.replace("conv", "relu") in {*STYLE_LAYERS, CONTENT_LAYER} else 0.5
    for layer in TRAINED
}
"""Weight of each layer in the loss; layers that a painting's loss uses count twice."""
_SAMPLED = (64, 150)
"""Number of crops, and of positions in each, to compute scales and principal axes from."""

_PURPOSES = ("once", "draw", "look")
"""Purposes of random numbers; each has its own generators."""
_Example = tuple[Tensor, ...]
"""Input of the first trained layer for one crop, then each layer's target, shapes (H, W, C)."""


@dataclass(frozen=True)
class TrainConfig:
    """Settings of the training, apart from its start and the pictures."""

    steps: int = 5500
    batch: int = 32
    """Crops per step."""
    crop_px: int = 96
    fresh: int = 16
    """New crops in the pool, in place of its oldest, each ``fresh_every`` steps."""
    fresh_every: int = 8
    pool: int = 4000
    """Largest number of crops to draw batches from; 0.8 MB each."""
    pool_at_start: int = 512
    paints_at: int = 3250
    """Number of steps after which the student paints, to train on its paintings from then on."""
    paintings: int = 320
    """Number of those paintings."""
    painted_share: float = 0.25
    """Share of painted crops in each batch from then on."""
    rate: float = 1e-3
    """Learning rate of Adam; all layers are scaled to a mean square of 1."""
    warmup: int = 100
    """Steps over which the rate rises at the beginning."""
    cooldown: int = 1500
    """Steps over which the rate falls to zero at the end."""
    averaging: float = 0.998
    """Decay of the running average of the weights, which is the result, at each step."""
    seed: int = 0

    def rate_at(self, step: int) -> float:
        """Return the learning rate of a step, counted from 1."""
        rising, falling = step / self.warmup, (self.steps + 1 - step) / self.cooldown
        return self.rate * min(1.0, rising, falling)


class Trainer:
    """A training run, in which a student learns the teacher's channels that its layers follow.

    The loss is the squared error after ReLU relative to the teacher's squares, summed over the
    layers. Every step has its own random generators, so that a run resumed from `state` draws
    the same crops.

    Args:
        start: network to train; its first stage stays as it is.
        teacher: weights of the whole network.
        pictures: shape (3, H, W), uint8, edges of at least the crop's.
        config: settings of the training.
    """

    def __init__(
        self, start: Student, teacher: Weights, pictures: Sequence[Tensor], config: TrainConfig
    ) -> None:
        self.config = config
        self.done = 0
        self._start = start
        self._teacher = _to_bfloat16(teacher)
        self._bfloat16_start = _to_bfloat16(start.weights)
        self._pictures = pictures
        self._scales, self._axes = self._scales_and_axes()
        self._values = [
            value.requires_grad_() for layer in TRAINED for value in self._along_axes(layer)
        ]
        self._averages = [value.detach().clone() for value in self._values]
        self._optimizer = torch.optim.Adam(self._values, config.rate, betas=(0.9, 0.99))
        self._pool: deque[_Example] = deque(maxlen=config.pool)
        self._paintings = torch.empty(0, 3, config.crop_px, config.crop_px)
        self._painted: list[_Example] = []

    def step(self) -> float:
        """Take one step, and return the loss before it."""
        config = self.config
        if not self._pool:
            self._fill()
        if self.done == config.paints_at:
            self._paint()
        self.done += 1
        self._optimizer.param_groups[0]["lr"] = config.rate_at(self.done)
        generator = self._generator(self.done, "draw")
        painted = round(config.painted_share * config.batch) if self._painted else 0
        drawn = torch.randint(len(self._pool), (config.batch - painted,), generator=generator)
        examples = [self._pool[index] for index in drawn.tolist()]
        if painted:
            drawn = torch.randint(len(self._painted), (painted,), generator=generator)
            examples += [self._painted[index] for index in drawn.tolist()]
        fresh = self._fresh(self.done)
        weights = self._weights(self._values)

        def work(part: int) -> tuple[float, Sequence[Tensor], Sequence[_Example]]:
            loss, gradients = self._gradients(examples[part::_PARTS], weights)
            return loss, gradients, self._examples(fresh[part::_PARTS])

        with ThreadPoolExecutor(_PARTS) as threads:
            losses, gradients, learned = zip(*threads.map(work, range(_PARTS)), strict=True)
        self._pool.extend(lesson for part in learned for lesson in part)
        for number, layer in enumerate(TRAINED):
            kernels, biases = (
                torch.stack([part[2 * number + i].float() for part in gradients]).mean(0)
                for i in (0, 1)
            )
            mean, axes = self._axes[layer]
            along = (kernels.flatten(1) - torch.outer(biases, mean)) @ axes
            self._values[2 * number].grad, self._values[2 * number + 1].grad = along, biases
        self._optimizer.step()
        # Short at first, so that the start is soon forgotten.
        kept = min(config.averaging, self.done / (self.done + 10))
        for average, value in zip(self._averages, self._values, strict=True):
            average.lerp_(value.detach(), 1.0 - kept)
        return float(sum(losses)) / _PARTS

    def student(self) -> Student:
        """Return the averaged network, rounded to half precision."""
        weights = dict(self._start.weights)
        scaled = self._weights(self._averages)
        for layer in TRAINED:
            kernel, bias = scaled[layer]
            kernel = kernel * (self._scales[layer] / self._scales[_BEFORE[layer]])
            bias = bias * self._scales[layer]
            weights[layer] = kernel.contiguous().half().float(), bias.half().float()
        return Student(weights, self._start.channels)

    def state(self) -> dict[str, Any]:
        """Return a checkpoint for `restore`, of tensors, numbers, strings and lists only."""
        return {
            "schedule": asdict(self.config),
            "done": self.done,
            # Stored, because the sign of an axis may differ with the number of threads.
            "axes": {layer: list(mean_and_axes) for layer, mean_and_axes in self._axes.items()},
            "scales": self._scales,
            "values": [value.detach() for value in self._values],
            "averages": self._averages,
            "paintings": self._paintings.half(),
            "optimizer": self._optimizer.state_dict(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue another run from its checkpoint, with the same start and pictures.

        Raises:
            CheckpointUnusable: if that run had other settings.
        """
        if state["schedule"] != asdict(self.config):
            raise CheckpointUnusable("it belongs to a training with other settings")
        self.done = state["done"]
        self._pool.clear()
        self._scales = state["scales"]
        self._axes = {layer: (mean, axes) for layer, (mean, axes) in state["axes"].items()}
        with torch.no_grad():
            for value, stored in zip(self._values, state["values"], strict=True):
                value.copy_(stored)
        self._averages = [value.clone() for value in state["averages"]]
        self._paintings = state["paintings"].float()
        self._painted = self._examples(self._paintings)
        self._optimizer.load_state_dict(state["optimizer"])

    def _scales_and_axes(self) -> tuple[dict[str, float], dict[str, tuple[Tensor, Tensor]]]:
        """Compute each layer's scale, and the mean and principal axes of its inputs, from crops."""
        count, positions = _SAMPLED
        squares = dict.fromkeys(LAYERS, 0.0)
        samples: dict[str, list[Tensor]] = {layer: [] for layer in TRAINED}
        generator = self._generator(0, "once")
        crops = photo_crops(self._pictures, self.config.crop_px, count, generator)
        for batch in torch.split(crops, 8):
            activations = to_vgg_input(batch)
            for stage, convolutions in enumerate(CONVOLUTIONS):
                if stage > 0:
                    activations = F.max_pool2d(activations, 2)
                for layer in convolutions:
                    if layer in samples:
                        at = torch.randint(
                            activations[0, 0].numel(), (positions,), generator=generator
                        )
                        samples[layer].append(patches(activations, at))
                    kernel, bias = self._start.weights[layer]
                    activations = F.conv2d(pad_reflect(activations), kernel, bias).relu_()
                    squares[layer] += float(activations.square().mean()) * len(batch) / count
        scales = {layer: max(math.sqrt(square), 1e-6) for layer, square in squares.items()}
        axes = {}
        for layer in TRAINED:
            inputs = torch.cat(samples.pop(layer)).double() / scales[_BEFORE[layer]]
            mean = inputs.mean(dim=0)
            inputs -= mean
            _, vectors = torch.linalg.eigh(inputs.T @ inputs)
            axes[layer] = mean.float(), vectors.float()
        return scales, axes

    def _along_axes(self, layer: str) -> tuple[Tensor, Tensor]:
        """Return a layer's parameters: the kernel along the axes, the bias at the mean input."""
        kernel, bias = self._start.weights[layer]
        kernel = kernel.flatten(1) * (self._scales[_BEFORE[layer]] / self._scales[layer])
        mean, axes = self._axes[layer]
        return kernel @ axes, bias / self._scales[layer] + kernel @ mean

    def _weights(self, values: Sequence[Tensor]) -> dict[str, tuple[Tensor, Tensor]]:
        """Return kernels and biases of the trained layers, as the inverse of `_along_axes`."""
        weights = {}
        for number, layer in enumerate(TRAINED):
            mean, axes = self._axes[layer]
            along = values[2 * number].detach() @ axes.T
            bias = values[2 * number + 1].detach() - along @ mean
            weights[layer] = along.reshape(self._start.weights[layer][0].shape), bias
        return weights

    def _fill(self) -> None:
        """Fill the pool from the crops of the steps that are done."""
        config = self.config
        generator = self._generator(0, "look")
        crops = photo_crops(self._pictures, config.crop_px, config.pool_at_start, generator)
        self._pool.extend(self._examples(crops))
        for step in range(1, self.done + 1):
            # What has left the pool again need not be computed.
            if (self.done - step) // config.fresh_every * config.fresh < config.pool:
                fresh = self._fresh(step)
                for part in range(_PARTS):
                    self._pool.extend(self._examples(fresh[part::_PARTS]))

    def _paint(self) -> None:
        """Fill the pool of paintings, which exploit the student's errors."""
        config = self.config
        backbone = VggBackbone("student", self.student().weights, torch.device("cpu"))

        def work(number: int) -> Tensor:
            generator = self._generator(1 + number, "once")
            pair = photo_crops(self._pictures, config.crop_px, 2, generator)
            return painted_crops(backbone, pair, generator)

        with ThreadPoolExecutor(_PARTS) as threads:
            paintings = torch.cat(list(threads.map(work, range(config.paintings))))
        # Rounded as in a checkpoint.
        self._paintings = paintings.half().float()
        self._painted = self._examples(self._paintings)

    def _fresh(self, step: int) -> Tensor:
        """Return the crops that are new in this step, if any."""
        config = self.config
        count = config.fresh if step % config.fresh_every == 0 else 0
        generator = self._generator(step, "look")
        return photo_crops(self._pictures, config.crop_px, count, generator)

    def _examples(self, crops: Tensor) -> list[_Example]:
        """Compute the input of the first trained layer and the teacher's targets for each crop."""
        examples: list[_Example] = []
        with torch.no_grad():
            for batch in torch.split(to_vgg_input(crops), 16) if len(crops) > 0 else ():
                teacher = _activations(batch, self._teacher, LAYERS)
                targets = [
                    teacher[layer][:, self._start.channels[layer]] / self._scales[layer]
                    for layer in TRAINED
                ]
                first = _activations(batch, self._bfloat16_start, LAYERS[: -len(TRAINED)])
                pooled = F.max_pool2d(first[_LAST_FIXED], 2) / self._scales[_LAST_FIXED]
                # Cloned, because a slice would keep the whole batch in memory.
                examples += [
                    tuple(maps[index].permute(1, 2, 0).clone() for maps in (pooled, *targets))
                    for index in range(len(batch))
                ]
        return examples

    def _gradients(
        self, examples: Sequence[_Example], weights: Weights
    ) -> tuple[float, tuple[Tensor, ...]]:
        """Return the loss of one part of a batch, and its gradients by kernel and bias."""
        pooled, *targets = (
            torch.stack(maps).permute(0, 3, 1, 2) for maps in zip(*examples, strict=True)
        )
        low = _to_bfloat16(weights)
        leaves = [tensor.requires_grad_() for layer in TRAINED for tensor in low[layer]]
        with torch.enable_grad():
            student = _activations(pooled, low, TRAINED)
        loss = 0.0
        errors = []
        for layer, target in zip(TRAINED, targets, strict=True):
            error = student[layer].detach() - target
            weight = _LAYER_WEIGHTS[layer] / max(float(target.float().square().sum()), 1e-6)
            loss += weight * float(error.float().square().sum())
            errors.append(error.mul_(2.0 * weight))
        return loss, torch.autograd.grad([student[layer] for layer in TRAINED], leaves, errors)

    def _generator(self, step: int, purpose: Literal["once", "draw", "look"]) -> torch.Generator:
        number = 3 * (self.config.seed * 1_000_003 + step) + _PURPOSES.index(purpose)
        return torch.Generator().manual_seed(number)


def errors(student: Student, teacher: Weights, pictures: Sequence[Tensor]) -> dict[str, float]:
    """Return the squared error after ReLU by layer, relative to the teacher's squares.

    Errors are summed over whole pictures.

    Args:
        student: network to measure.
        teacher: weights of the whole network.
        pictures: shape (3, H, W), uint8.

    Returns:
        errors by layer; NaN where the teacher is zero everywhere, or if there are no pictures.
    """
    missed, squares = dict.fromkeys(LAYERS, 0.0), dict.fromkeys(LAYERS, 0.0)
    both = _to_bfloat16(student.weights), _to_bfloat16(teacher)
    with torch.no_grad():
        for picture in pictures:
            image = to_vgg_input(picture[None].float() / 255.0)
            actual, target_maps = (_activations(image, weights, LAYERS) for weights in both)
            for layer in LAYERS:
                target = target_maps[layer][:, student.channels[layer]].float()
                missed[layer] += float((actual[layer].float() - target).square().sum())
                squares[layer] += float(target.square().sum())
    return {
        layer: missed[layer] / squares[layer] if squares[layer] > 0.0 else math.nan
        for layer in LAYERS
    }


def _activations(images: Tensor, weights: Weights, layers: Sequence[str]) -> dict[str, Tensor]:
    """Return the activations after each ReLU of neighboring layers, in bfloat16."""
    by_layer: dict[str, Tensor] = {}
    activations = images.to(torch.bfloat16).contiguous(memory_format=torch.channels_last)
    for layer in layers:
        if by_layer and layer in _STAGE_BEGINNINGS:
            activations = F.max_pool2d(activations, 2)
        activations = F.conv2d(pad_reflect(activations), *weights[layer]).relu_()
        by_layer[layer] = activations
    return by_layer


def _to_bfloat16(weights: Weights) -> dict[str, tuple[Tensor, Tensor]]:
    """Convert weights for `_activations`.

    The rounding errors are 1e-5 to 7e-5 of the squares, a thousandth of the errors to train away.
    """
    return {
        layer: (
            kernel.to(torch.bfloat16, memory_format=torch.channels_last),
            bias.to(torch.bfloat16),
        )
        for layer, (kernel, bias) in weights.items()
    }
