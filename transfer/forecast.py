"""What a painting will take on a device: seconds and memory, learned from what others took there.

Free of torch, so that pages can tell it before anything is painted. `work` counts what the plan of
a painting asks for, `learn` finds the prices of one device from paintings that are finished, and
`expected` multiplies. Whoever calls keeps the runs.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from transfer import pyramid
from transfer.ladder import LIBRARIES, Scope, chosen, ladder, usual_bytes
from transfer.law import Part, Seen, learned, predicted
from transfer.settings import ANIMATION_EDGE_MAX_PX, ANIMATION_FRAMES_MAX, Settings

_TARGETS = 0.5
"""Computing the features of one picture, in evaluations: these go back through the network, too."""
_REGION = {"compact": 0.2, "vgg19": 0.11}
"""What each further region adds to the time of an evaluation, relative to it: its statistics are
computed over the whole picture. From four masked styles, docs/engine.md."""
_REGION_BYTES = 10
"""What it adds to memory, per pixel: the mask, and the share of each position of each layer."""
_RENDITION = 4.0
"""Storing a rendition with its thumbnails, in encoded frames of an animation per pixel."""

_SECONDS = (
    Part(0.3, 0.7),
    Part(0.008, 1.0),
    Part(0.53, 0.4, shares=True),
    Part(3.7, 0.4, shares=True),
    Part(0.056, 0.5),
)
"""Of a painting, an evaluation, a megapixel seen by compact and by vgg19, a megapixel encoded, on
two cores of a server CPU. It is in the speed of networks that devices differ by orders of
magnitude."""
_SPEED_DOUBT = 3.0
_BYTES = (Part(0.23e9, 0.3), Part(0.2e9, 0.5), Part(1.16, 0.3))
"""Of a process that has not painted yet, of vgg19 in it, and of each byte that `ladder.Rung`
expects beyond; fitted to draft and standard paintings of 256 to 4096 px (within 17 %)."""

_LIKE_HALVED_AFTER = 4.0
_ALL_HALVED_AFTER = 20.0
"""Runs after which an older one counts half: like ones, and any. A new machine is noticed soon,
and what is seldom painted is not forgotten."""


@dataclass(frozen=True)
class Work:
    """What a painting asks for, counted."""

    evaluations: int
    compact_mp: float
    """Megapixels that the network sees over all evaluations, its targets and regions included."""
    vgg19_mp: float
    encoded_mp: float
    largest_mp: float
    """Megapixels of the painting."""
    step_bytes: float
    """What the step that needs most memory takes beyond the process, on the rung of the ladder on
    which it is computed if nobody says how much there may be."""

    @property
    def time_counts(self) -> tuple[float, ...]:
        """As `_SECONDS` has them."""
        return 1.0, float(self.evaluations), self.compact_mp, self.vgg19_mp, self.encoded_mp

    @property
    def memory_counts(self) -> tuple[float, ...]:
        """As `_BYTES` has them."""
        return 1.0, float(self.vgg19_mp > 0.0), self.step_bytes


@dataclass(frozen=True)
class Run:
    """A painting that was painted in one go."""

    work: Work
    seconds: float
    peak_bytes: float | None = None
    """None: nobody looked."""


@dataclass(frozen=True)
class Device:
    """What work costs on one device; without arguments, what is thought before it is known."""

    seconds: tuple[float, ...] = tuple(part.price for part in _SECONDS)
    bytes: tuple[float, ...] = tuple(part.price for part in _BYTES)


@dataclass(frozen=True)
class Forecast:
    """What a painting is expected to take."""

    seconds: float
    peak_bytes: float
    """Memory of the whole process, or of the device where it has its own."""


def work(
    settings: Settings,
    height: int,
    width: int,
    *,
    styles: int = 1,
    masks: int = 0,
    proof_px: int | None = None,
) -> Work:
    """What painting a picture of this size asks for.

    Args:
        settings: of the painting.
        height: of the painting, px.
        width: of the painting, px.
        styles: how many there are, those of weight 0 left out.
        masks: how many of them have one.
        proof_px: long edge of the earlier painting that it goes on from, if it does.
    """
    regions = styles if masks else 1
    plans = pyramid.plans(settings, height, width, proof_px)
    steps = [step for plan in plans.values() for step in plan]
    seen = {"compact": 0.0, "vgg19": 0.0}
    peak = 0.0
    # Of the content, and of each style at the size at which it is seen.
    targets = _TARGETS * (1.0 + styles * settings.brush_size**2)
    for step in steps:
        network = _network(step.backbone)
        pixels = step.height * step.width / 1e6
        crowded = 1.0 + _REGION[network] * (regions - 1)
        seen[network] += pixels * (step.evaluations * crowded + targets)
        needed = _needed(step, settings.brush_size) + _REGION_BYTES * 1e6 * pixels * (regions - 1)
        peak = max(peak, needed)
    encoded = _RENDITION * len(plans) * height * width / 1e6
    if settings.animation:
        first = sum(step.evaluations for step in plans[settings.renditions[0]])
        scale = min(1.0, ANIMATION_EDGE_MAX_PX / max(height, width))
        encoded += min(ANIMATION_FRAMES_MAX, first) * scale**2 * height * width / 1e6
    return Work(
        sum(step.evaluations for step in steps),
        seen["compact"],
        seen["vgg19"],
        encoded,
        height * width / 1e6,
        peak,
    )


def _needed(step: pyramid.Step, brush_size: float) -> float:
    """Bytes that a step takes beyond the process.

    With gradients in half precision: that other devices take more is in their prices.
    """
    scope = Scope(step.backbone, step.height, step.width, 3, brush_size, is_halved=True)
    rungs = ladder(scope)
    room = usual_bytes(step.height, step.width) - LIBRARIES
    return rungs[chosen(rungs, room, scope)].bytes(scope)


def expected(asked: Work, device: Device) -> Forecast:
    """What this work is expected to take there."""
    return Forecast(
        predicted(device.seconds, asked.time_counts), predicted(device.bytes, asked.memory_counts)
    )


def learn(runs: Iterable[Run]) -> Device:
    """The device that these runs were painted on, latest first; nonsense among them is outvoted."""
    kept = list(runs)
    ages: dict[object, int] = {}
    times, peaks = [], []
    for age, run in enumerate(kept):
        kind = _kind(run.work)
        like = ages.get(kind, 0)
        ages[kind] = like + 1
        weight = 0.5 ** (like / _LIKE_HALVED_AFTER + age / _ALL_HALVED_AFTER)
        times.append(Seen(run.work.time_counts, run.seconds, weight))
        if run.peak_bytes is not None:
            peaks.append(Seen(run.work.memory_counts, run.peak_bytes, weight))
    return Device(learned(_SECONDS, times, _SPEED_DOUBT), learned(_BYTES, peaks))


def _kind(asked: Work) -> object:
    """What like runs have in common: the networks, and the size within a factor of two in area."""
    size = round(math.log2(asked.largest_mp)) if 0 < asked.largest_mp < math.inf else None
    return asked.compact_mp > 0, asked.vgg19_mp > 0, size


def _network(backbone: str) -> str:
    # All others are vgg19 with other weights.
    return "compact" if backbone == "compact" else "vgg19"
