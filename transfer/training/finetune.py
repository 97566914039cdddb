"""Trainer all layers of a narrow network at once, from a start that paints already.

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
_SAMPLED = (64, 150)
"""Crops, and positions of each, that scales and principal axes are computed from."""

_PURPOSES = ("once", "draw", "look")
"""Each draws from generators of its own."""
_Lesson = tuple[Tensor, ...]
"""Of one crop: what goes into the first trained layer, then each layer's target, (H, W, C)."""


@dataclass(frozen=True)
class TrainConfig:
    """Everything that decides the training, apart from its start and the pictures."""

    steps: int = 5500
    batch: int = 32
    crop_px: int = 96
    fresh: int = 16
    fresh_every: int = 8
    """Crops that are shown to the teacher each so many steps; they replace the pool's oldest."""
    pool: int = 4000
    """Crops that batches are drawn from; 0.8 MB each."""
    pool_at_start: int = 512
    paints_at: int = 3250
    """Before the step after this one, the student paints, and from then on learns from that."""
    paintings: int = 320
    painted_share: float = 0.25
    """Of each batch from then on."""
    rate: float = 1e-3
    """Of Adam; all layers are scaled to a mean square of 1 meanwhile."""
    warmup: int = 100
    cooldown: int = 1500
    """Steps over which the rate rises at the beginning, and falls to zero at the end."""
    averaging: float = 0.998
    """The result is the running average of the weights; this much of it stays at each step."""
    seed: int = 0

    def rate_at(self, step: int) -> float:
        """The rate of a step, counted from 1."""
        rising, falling = step / self.warmup, (self.steps + 1 - step) / self.cooldown
        return self.rate * min(1.0, rising, falling)


class Trainer:
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
        self, start: Student, teacher: Weights, pictures: Sequence[Tensor], schedule: TrainConfig
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
        self._paintings = torch.empty(0, 3, schedule.crop_px, schedule.crop_px)
        self._painted: list[_Lesson] = []

    def step(self) -> float:
        """Take one step, and return the loss before it."""
        schedule = self.schedule
        if not self._pool:
            self._fill()
        if self.done == schedule.paints_at:
            self._paint()
        self.done += 1
        self._optimizer.param_groups[0]["lr"] = schedule.rate_at(self.done)
        generator = self._generator(self.done, "draw")
        painted = round(schedule.painted_share * schedule.batch) if self._painted else 0
        drawn = torch.randint(len(self._pool), (schedule.batch - painted,), generator=generator)
        lessons = [self._pool[index] for index in drawn.tolist()]
        if painted:
            drawn = torch.randint(len(self._painted), (painted,), generator=generator)
            lessons += [self._painted[index] for index in drawn.tolist()]
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
            "paintings": self._paintings.half(),
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
        self._paintings = state["paintings"].float()
        self._painted = self._lessons(self._paintings)
        self._optimizer.load_state_dict(state["optimizer"])

    def _measured(self) -> tuple[dict[str, float], dict[str, tuple[Tensor, Tensor]]]:
        """Each layer's scale, and the mean and principal axes of its inputs on training crops."""
        count, positions = _SAMPLED
        squares = dict.fromkeys(LAYERS, 0.0)
        seen: dict[str, list[Tensor]] = {layer: [] for layer in TRAINED}
        generator = self._generator(0, "once")
        crops = photo_crops(self._pictures, self.schedule.crop_px, count, generator)
        for some in torch.split(crops, 8):
            activations = to_vgg_input(some)
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
                    activations = F.conv2d(pad_reflect(activations), kernel, bias).relu_()
                    squares[layer] += float(activations.square().mean()) * len(some) / count
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
        crops = photo_crops(self._pictures, schedule.crop_px, schedule.pool_at_start, generator)
        self._pool.extend(self._lessons(crops))
        for step in range(1, self.done + 1):
            # What has left the pool again need not be computed.
            if (self.done - step) // schedule.fresh_every * schedule.fresh < schedule.pool:
                fresh = self._fresh(step)
                for part in range(_PARTS):
                    self._pool.extend(self._lessons(fresh[part::_PARTS]))

    def _paint(self) -> None:
        """Fill the second pool: where the student is wrong in a way that its paintings exploit."""
        schedule = self.schedule
        backbone = VggBackbone("student", self.student().weights, torch.device("cpu"))

        def work(number: int) -> Tensor:
            generator = self._generator(1 + number, "once")
            pair = photo_crops(self._pictures, schedule.crop_px, 2, generator)
            return painted_crops(backbone, pair, generator)

        with ThreadPoolExecutor(_PARTS) as threads:
            paintings = torch.cat(list(threads.map(work, range(schedule.paintings))))
        # As a checkpoint keeps them.
        self._paintings = paintings.half().float()
        self._painted = self._lessons(self._paintings)

    def _fresh(self, step: int) -> Tensor:
        """The crops that are new in this step, if any."""
        schedule = self.schedule
        count = schedule.fresh if step % schedule.fresh_every == 0 else 0
        generator = self._generator(step, "look")
        return photo_crops(self._pictures, schedule.crop_px, count, generator)

    def _lessons(self, crops: Tensor) -> list[_Lesson]:
        """What the student gets to see of each crop, and what the teacher makes of it."""
        lessons: list[_Lesson] = []
        with torch.no_grad():
            for some in torch.split(to_vgg_input(crops), 16) if len(crops) > 0 else ():
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

    def _generator(self, step: int, purpose: Literal["once", "draw", "look"]) -> torch.Generator:
        number = 3 * (self.schedule.seed * 1_000_003 + step) + _PURPOSES.index(purpose)
        return torch.Generator().manual_seed(number)


def errors(student: Student, teacher: Weights, pictures: Sequence[Tensor]) -> dict[str, float]:
    """Squared error after ReLU by layer, relative to the teacher's squares, over whole pictures.

    Args:
        student: what is judged.
        teacher: weights of the whole network.
        pictures: shape (3, H, W), uint8.

    Returns:
        not a number for a layer where the teacher is silent, or if there are no pictures.
    """
    missed, squares = dict.fromkeys(LAYERS, 0.0), dict.fromkeys(LAYERS, 0.0)
    lowered = _lowered(student.weights), _lowered(teacher)
    with torch.no_grad():
        for picture in pictures:
            image = to_vgg_input(picture[None].float() / 255.0)
            found, wanted = (_activations(image, weights, LAYERS) for weights in lowered)
            for layer in LAYERS:
                target = wanted[layer][:, student.channels[layer]].float()
                missed[layer] += float((found[layer].float() - target).square().sum())
                squares[layer] += float(target.square().sum())
    return {
        layer: missed[layer] / squares[layer] if squares[layer] > 0.0 else math.nan
        for layer in LAYERS
    }


def _activations(images: Tensor, weights: Weights, layers: Sequence[str]) -> dict[str, Tensor]:
    """After each ReLU of some neighboring layers, in bfloat16."""
    found: dict[str, Tensor] = {}
    activations = images.to(torch.bfloat16).contiguous(memory_format=torch.channels_last)
    for layer in layers:
        if found and layer in _STAGE_BEGINNINGS:
            activations = F.max_pool2d(activations, 2)
        activations = F.conv2d(pad_reflect(activations), *weights[layer]).relu_()
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
