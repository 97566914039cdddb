"""Training all layers of a narrow network at once, from a start that paints already.

Four things make it affordable without a GPU. The start is a least-squares solution, so little is
left to learn. Each kernel is trained along the principal axes of its inputs, where steps of one
size suit all directions. What the teacher said of a crop is kept and used several times. And both
networks compute in bfloat16, which recent CPUs do several times faster.
"""

import math
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from transfer.backbones.vgg import CONTENT_LAYER, CONVOLUTIONS, STYLE_LAYERS, Weights, reflected
from transfer.errors import CheckpointUnusable
from transfer.images import read_image, resized, to_tensor
from transfer.leastsquares import Student, as_published, patches

LAYERS = tuple(layer for stage in CONVOLUTIONS for layer in stage)
TRAINED = LAYERS[len(CONVOLUTIONS[0]) :]
"""All but the first stage: least squares leave an error of 0.003 there."""
_BEFORE = dict(zip(LAYERS[1:], LAYERS, strict=False))
_STAGE_BEGINNINGS = frozenset(stage[0] for stage in CONVOLUTIONS)
_LAST_FIXED = _BEFORE[TRAINED[0]]
_PARTS = 2
"""Of a batch, each computed by a thread of its own: they meet once a step, where the threads of a
single convolution would meet a hundred times, and wait whenever one has to stand aside."""

_SHARES = {
    layer: 1.0 if layer.replace("conv", "relu") in {*STYLE_LAYERS, CONTENT_LAYER} else 0.5
    for layer in TRAINED
}
"""In the loss; the layers that a painting is compared in count twice."""
_RECOLORED = 0.3
"""Share of crops that take over the colors of another one, as paintings do."""
_NOISY = 0.25
_NOISE = 0.1
"""Share of crops with noise, and its largest standard deviation: a painting begins with some."""
_SAMPLED = (64, 150)
"""Crops, and positions of each, that scales and principal axes are computed from."""

_PURPOSES = ("measure", "draw", "look")
"""Each draws from generators of its own."""
_Lesson = tuple[Tensor, ...]
"""Of one crop: what goes into the first trained layer, then each layer's target, (H, W, C)."""


@dataclass(frozen=True)
class Schedule:
    """Everything that decides the training, apart from its start and the pictures."""

    steps: int = 5000
    batch: int = 32
    crop_px: int = 96
    fresh: int = 16
    fresh_every: int = 8
    """Crops that are shown to the teacher each so many steps; they replace the pool's oldest."""
    pool: int = 4000
    """Crops that batches are drawn from; 0.8 MB each."""
    pool_at_start: int = 512
    rate: float = 1e-3
    """Of Adam; all layers are scaled to a mean square of 1 meanwhile."""
    warmup: int = 100
    """Steps over which the rate rises; falling again is left to the average."""
    averaging: float = 0.998
    """The result is the running average of the weights; this much of it stays at each step."""
    seed: int = 0

    def rate_at(self, step: int) -> float:
        """The rate of a step, counted from 1."""
        return self.rate * min(1.0, step / self.warmup)


class Training:
    """One run; each `step` brings the student closer to the teacher's channels that it follows.

    The loss is the squared error after ReLU relative to the teacher's squares, summed over the
    layers. Every step has a generator of its own, so that a run that is stopped and goes on from
    `state` sees the same crops.

    Args:
        start: what to train; its first stage stays as it is.
        teacher: weights of the whole network.
        pictures: shape (3, H, W), uint8, edges of at least the crop's.
        schedule: everything else.
    """

    def __init__(
        self, start: Student, teacher: Weights, pictures: Sequence[Tensor], schedule: Schedule
    ) -> None:
        self.schedule = schedule
        self.done = 0
        self._start = start
        self._teacher = _lowered(teacher)
        self._lowered_start = _lowered(start.weights)
        self._pictures = pictures
        self._scales, self._axes = self._measured()
        self._values = [
            value.requires_grad_() for layer in TRAINED for value in self._along_axes(layer)
        ]
        self._averages = [value.detach().clone() for value in self._values]
        self._optimizer = torch.optim.Adam(self._values, schedule.rate, betas=(0.9, 0.99))
        self._pool: deque[_Lesson] = deque(maxlen=schedule.pool)

    def step(self) -> float:
        """Take one step, and return the loss before it."""
        schedule = self.schedule
        if not self._pool:
            self._fill()
        self.done += 1
        self._optimizer.param_groups[0]["lr"] = schedule.rate_at(self.done)
        generator = self._generator(self.done, "draw")
        drawn = torch.randint(len(self._pool), (schedule.batch,), generator=generator).tolist()
        lessons = [self._pool[index] for index in drawn]
        fresh = self._fresh(self.done)
        weights = self._weights(self._values)

        def work(part: int) -> tuple[float, Sequence[Tensor], Sequence[_Lesson]]:
            loss, gradients = self._gradients(lessons[part::_PARTS], weights)
            return loss, gradients, self._lessons(fresh[part::_PARTS])

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
        kept = min(schedule.averaging, self.done / (self.done + 10))
        for average, value in zip(self._averages, self._values, strict=True):
            average.lerp_(value.detach(), 1.0 - kept)
        return float(sum(losses)) / _PARTS

    def student(self) -> Student:
        """The averaged network, rounded to half precision."""
        weights = dict(self._start.weights)
        scaled = self._weights(self._averages)
        for layer in TRAINED:
            kernel, bias = scaled[layer]
            kernel = kernel * (self._scales[layer] / self._scales[_BEFORE[layer]])
            bias = bias * self._scales[layer]
            weights[layer] = kernel.contiguous().half().float(), bias.half().float()
        return Student(weights, self._start.channels)

    def state(self) -> dict[str, Any]:
        """Where the run stands, for `restore`; holds only tensors, numbers, texts and lists."""
        return {
            "schedule": asdict(self.schedule),
            "done": self.done,
            # Kept, because the sign of an axis may differ with the number of threads.
            "axes": {layer: list(both) for layer, both in self._axes.items()},
            "scales": self._scales,
            "values": [value.detach() for value in self._values],
            "averages": self._averages,
            "optimizer": self._optimizer.state_dict(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from where another run stood, with the same start and pictures.

        Raises:
            CheckpointUnusable: if that run had another schedule.
        """
        if state["schedule"] != asdict(self.schedule):
            raise CheckpointUnusable("it belongs to another training schedule")
        self.done = state["done"]
        self._pool.clear()
        self._scales = state["scales"]
        self._axes = {layer: (mean, axes) for layer, (mean, axes) in state["axes"].items()}
        with torch.no_grad():
            for value, stored in zip(self._values, state["values"], strict=True):
                value.copy_(stored)
        self._averages = [value.clone() for value in state["averages"]]
        self._optimizer.load_state_dict(state["optimizer"])

    def _measured(self) -> tuple[dict[str, float], dict[str, tuple[Tensor, Tensor]]]:
        """Each layer's scale, and the mean and principal axes of its inputs on training crops."""
        count, positions = _SAMPLED
        squares = dict.fromkeys(LAYERS, 0.0)
        seen: dict[str, list[Tensor]] = {layer: [] for layer in TRAINED}
        generator = self._generator(0, "measure")
        for crops in self._crops(generator, count).split(8):
            activations = crops
            for stage, convolutions in enumerate(CONVOLUTIONS):
                if stage > 0:
                    activations = F.max_pool2d(activations, 2)
                for layer in convolutions:
                    if layer in seen:
                        at = torch.randint(
                            activations[0, 0].numel(), (positions,), generator=generator
                        )
                        seen[layer].append(patches(activations, at))
                    kernel, bias = self._start.weights[layer]
                    activations = F.conv2d(reflected(activations), kernel, bias).relu_()
                    squares[layer] += float(activations.square().mean()) * len(crops) / count
        scales = {layer: max(math.sqrt(square), 1e-6) for layer, square in squares.items()}
        axes = {}
        for layer in TRAINED:
            inputs = torch.cat(seen.pop(layer)).double() / scales[_BEFORE[layer]]
            mean = inputs.mean(dim=0)
            inputs -= mean
            _, vectors = torch.linalg.eigh(inputs.T @ inputs)
            axes[layer] = mean.float(), vectors.float()
        return scales, axes

    def _along_axes(self, layer: str) -> tuple[Tensor, Tensor]:
        """What is trained: the scaled kernel along the axes, and the bias at the mean input."""
        kernel, bias = self._start.weights[layer]
        kernel = kernel.flatten(1) * (self._scales[_BEFORE[layer]] / self._scales[layer])
        mean, axes = self._axes[layer]
        return kernel @ axes, bias / self._scales[layer] + kernel @ mean

    def _weights(self, values: Sequence[Tensor]) -> dict[str, tuple[Tensor, Tensor]]:
        """The inverse of `_along_axes`: scaled kernels and biases of the trained layers."""
        weights = {}
        for number, layer in enumerate(TRAINED):
            mean, axes = self._axes[layer]
            along = values[2 * number].detach() @ axes.T
            bias = values[2 * number + 1].detach() - along @ mean
            weights[layer] = along.reshape(self._start.weights[layer][0].shape), bias
        return weights

    def _fill(self) -> None:
        """The pool as it is before the next step, from the crops of the steps that are done."""
        schedule = self.schedule
        generator = self._generator(0, "look")
        self._pool.extend(self._lessons(self._crops(generator, schedule.pool_at_start)))
        for step in range(1, self.done + 1):
            # What has left the pool again need not be computed.
            if (self.done - step) // schedule.fresh_every * schedule.fresh < schedule.pool:
                fresh = self._fresh(step)
                for part in range(_PARTS):
                    self._pool.extend(self._lessons(fresh[part::_PARTS]))

    def _fresh(self, step: int) -> Tensor:
        """The crops that are new in this step, if any."""
        schedule = self.schedule
        count = schedule.fresh if step % schedule.fresh_every == 0 else 0
        return self._crops(self._generator(step, "look"), count)

    def _lessons(self, crops: Tensor) -> list[_Lesson]:
        """What the student gets to see of each crop, and what the teacher makes of it."""
        lessons: list[_Lesson] = []
        with torch.no_grad():
            for some in crops.split(16) if len(crops) > 0 else ():
                wanted = _activations(some, self._teacher, LAYERS)
                targets = [
                    (wanted[layer][:, self._start.channels[layer]] / self._scales[layer])
                    for layer in TRAINED
                ]
                first = _activations(some, self._lowered_start, LAYERS[: -len(TRAINED)])
                pooled = F.max_pool2d(first[_LAST_FIXED], 2) / self._scales[_LAST_FIXED]
                # Cloned, because a slice would keep the whole batch in memory.
                lessons += [
                    tuple(each[index].permute(1, 2, 0).clone() for each in (pooled, *targets))
                    for index in range(len(some))
                ]
        return lessons

    def _gradients(
        self, lessons: Sequence[_Lesson], weights: Weights
    ) -> tuple[float, tuple[Tensor, ...]]:
        """Loss of one part of a batch, and its gradients by kernel and bias."""
        pooled, *targets = (
            torch.stack(each).permute(0, 3, 1, 2) for each in zip(*lessons, strict=True)
        )
        lowered = _lowered(weights)
        leaves = [tensor.requires_grad_() for layer in TRAINED for tensor in lowered[layer]]
        with torch.enable_grad():
            found = _activations(pooled, lowered, TRAINED)
        loss = 0.0
        errors = []
        for layer, target in zip(TRAINED, targets, strict=True):
            error = found[layer].detach() - target
            share = _SHARES[layer] / max(float(target.float().square().sum()), 1e-6)
            loss += share * float(error.float().square().sum())
            errors.append(error.mul_(2.0 * share))
        return loss, torch.autograd.grad([found[layer] for layer in TRAINED], leaves, errors)

    def _generator(self, step: int, purpose: Literal["measure", "draw", "look"]) -> torch.Generator:
        number = 3 * (self.schedule.seed * 1_000_003 + step) + _PURPOSES.index(purpose)
        return torch.Generator().manual_seed(number)

    def _crops(self, generator: torch.Generator, count: int) -> Tensor:
        """New crops, shape (count, 3, crop, crop), see `as_published`.

        Squares of any size that fits, since paintings are seen at several scales.
        """
        px = self.schedule.crop_px
        crops = []
        for index in torch.randint(len(self._pictures), (count,), generator=generator).tolist():
            picture = self._pictures[index]
            height, width = picture.shape[1:]
            size, down, right, mirrored, noisy, noise = torch.rand(6, generator=generator).tolist()
            side = px + int(size * (min(height, width) - px + 1))
            top, left = int(down * (height - side + 1)), int(right * (width - side + 1))
            crop = picture[None, :, top : top + side, left : left + side].float() / 255.0
            crop = resized(crop, px, px)
            if mirrored < 0.5:
                crop = crop.flip(3)
            if noisy < _NOISY:
                crop = crop + _NOISE * noise * torch.randn(crop.shape, generator=generator)
            crops.append(crop)
        if not crops:
            return torch.empty(0, 3, px, px)
        images = torch.cat(crops)
        mean, deviation = images.mean((2, 3), keepdim=True), images.std((2, 3), keepdim=True)
        plain = (images - mean) / deviation.clamp_min(0.01)
        others = plain * deviation.roll(1, 0) + mean.roll(1, 0)
        is_recolored = torch.rand(count, 1, 1, 1, generator=generator) < _RECOLORED
        return as_published(torch.where(is_recolored, others, images).clamp(0.0, 1.0))


def errors(student: Student, teacher: Weights, pictures: Sequence[Tensor]) -> dict[str, float]:
    """Squared error after ReLU by layer, relative to the teacher's squares, over whole pictures.

    Args:
        student: what is judged.
        teacher: weights of the whole network.
        pictures: shape (3, H, W), uint8.
    """
    missed, squares = dict.fromkeys(LAYERS, 0.0), dict.fromkeys(LAYERS, 0.0)
    lowered = _lowered(student.weights), _lowered(teacher)
    with torch.no_grad():
        for picture in pictures:
            image = as_published(picture[None].float() / 255.0)
            found, wanted = (_activations(image, weights, LAYERS) for weights in lowered)
            for layer in LAYERS:
                target = wanted[layer][:, student.channels[layer]].float()
                missed[layer] += float((found[layer].float() - target).square().sum())
                squares[layer] += float(target.square().sum())
    return {layer: missed[layer] / max(squares[layer], 1e-30) for layer in LAYERS}


def read_pictures(paths: Sequence[Path], crop_px: int) -> list[Tensor]:
    """Those that are large enough, shape (3, H, W), uint8: floats would take four times as much."""
    pictures = []
    for path in paths:
        image = to_tensor(read_image(path))[0]
        if min(image.shape[1:]) >= crop_px:
            pictures.append(image.mul(255.0).round().byte())
    return pictures


def _activations(images: Tensor, weights: Weights, layers: Sequence[str]) -> dict[str, Tensor]:
    """After each ReLU of some neighboring layers, in bfloat16."""
    found = {}
    activations = images.to(torch.bfloat16).contiguous(memory_format=torch.channels_last)
    for layer in layers:
        if found and layer in _STAGE_BEGINNINGS:
            activations = F.max_pool2d(activations, 2)
        activations = F.conv2d(reflected(activations), *weights[layer]).relu_()
        found[layer] = activations
    return found


def _lowered(weights: Weights) -> dict[str, tuple[Tensor, Tensor]]:
    """For `_activations`; errs by 1e-5 to 7e-5 of the squares, a thousandth of what is trained."""
    return {
        layer: (
            kernel.to(torch.bfloat16, memory_format=torch.channels_last),
            bias.to(torch.bfloat16),
        )
        for layer, (kernel, bias) in weights.items()
    }
