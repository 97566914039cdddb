"""What a painting will take on a device: seconds and memory, learned from what others took there.

Free of torch, so that pages can tell it before anything is painted. `count_work` counts what the
plan of a painting asks for, `fit_cost_model` finds the prices of one device from finished
paintings, and `estimate` multiplies. Whoever calls keeps the runs.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from transfer.memory.plan import LIBRARIES, LevelShape, choose_plan, default_bytes, memory_plans
from transfer.planning import pyramid
from transfer.planning.robust_fit import Coefficient, Observation, fit, predict
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
    Coefficient(0.3, 0.7),
    Coefficient(0.008, 1.0),
    Coefficient(0.53, 0.4, shares=True),
    Coefficient(3.7, 0.4, shares=True),
    Coefficient(0.056, 0.5),
)
"""Of a painting, an evaluation, a megapixel seen by compact and by vgg19, a megapixel encoded, on
two cores of a server CPU. It is in the speed of networks that devices differ by orders of
magnitude."""
_SPEED_DOUBT = 3.0
_BYTES = (Coefficient(0.23e9, 0.3), Coefficient(0.2e9, 0.5), Coefficient(1.16, 0.3))
"""Of a process that has not painted yet, of vgg19 in it, and of each byte that `plan.MemoryPlan`
expects beyond; fitted to draft and standard paintings of 256 to 4096 px (within 17 %)."""

_LIKE_HALVED_AFTER = 4.0
_ALL_HALVED_AFTER = 20.0
"""Runs after which an older one counts half: like ones, and any. A new machine is noticed soon,
and what is seldom painted is not forgotten."""


@dataclass(frozen=True)
class Workload:
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
class TimedRun:
    """A painting that was painted in one go."""

    workload: Workload
    seconds: float
    peak_bytes: float | None = None
    """None: nobody looked."""


@dataclass(frozen=True)
class CostModel:
    """What work costs on one device; without arguments, what is thought before it is known."""

    seconds: tuple[float, ...] = tuple(part.price for part in _SECONDS)
    bytes: tuple[float, ...] = tuple(part.price for part in _BYTES)


@dataclass(frozen=True)
class Forecast:
    """What a painting is expected to take."""

    seconds: float
    peak_bytes: float
    """Memory of the whole process, or of the device where it has its own."""


def count_work(
    settings: Settings,
    height: int,
    width: int,
    *,
    styles: int = 1,
    masks: int = 0,
    base_px: int | None = None,
) -> Workload:
    """What painting a picture of this size asks for.

    Args:
        settings: of the painting.
        height: of the painting, px.
        width: of the painting, px.
        styles: how many there are, those of weight 0 left out.
        masks: how many of them have one.
        base_px: long edge of the earlier painting that it goes on from, if it does.
    """
    regions = styles if masks else 1
    plans = pyramid.schedules(settings, height, width, base_px)
    levels = [level for plan in plans.values() for level in plan]
    seen = {"compact": 0.0, "vgg19": 0.0}
    peak = 0.0
    # Of the content, and of each style at the size at which it is seen.
    targets = _TARGETS * (1.0 + styles * settings.brush_size**2)
    for level in levels:
        network = _network(level.backbone)
        pixels = level.height * level.width / 1e6
        crowded = 1.0 + _REGION[network] * (regions - 1)
        seen[network] += pixels * (level.evaluations * crowded + targets)
        needed = _needed(level, settings.brush_size) + _REGION_BYTES * 1e6 * pixels * (regions - 1)
        peak = max(peak, needed)
    encoded = _RENDITION * len(plans) * height * width / 1e6
    if settings.animation:
        first = sum(level.evaluations for level in plans[settings.renditions[0]])
        scale = min(1.0, ANIMATION_EDGE_MAX_PX / max(height, width))
        encoded += min(ANIMATION_FRAMES_MAX, first) * scale**2 * height * width / 1e6
    return Workload(
        sum(level.evaluations for level in levels),
        seen["compact"],
        seen["vgg19"],
        encoded,
        height * width / 1e6,
        peak,
    )


def _needed(level: pyramid.Level, brush_size: float) -> float:
    """Bytes that a step takes beyond the process.

    With gradients in half precision: that other devices take more is in their prices.
    """
    shape = LevelShape(level.backbone, level.height, level.width, 3, brush_size, is_fp16=True)
    plans = memory_plans(shape)
    available_bytes = default_bytes(level.height, level.width) - LIBRARIES
    return plans[choose_plan(plans, available_bytes, shape)].bytes(shape)


def estimate(asked: Workload, device: CostModel) -> Forecast:
    """What this work is expected to take there."""
    return Forecast(
        predict(device.seconds, asked.time_counts), predict(device.bytes, asked.memory_counts)
    )


def fit_cost_model(runs: Iterable[TimedRun]) -> CostModel:
    """The device that these runs were painted on, latest first; nonsense among them is outvoted."""
    kept = list(runs)
    ages: dict[object, int] = {}
    times, peaks = [], []
    for age, run in enumerate(kept):
        kind = _kind(run.workload)
        like = ages.get(kind, 0)
        ages[kind] = like + 1
        weight = 0.5 ** (like / _LIKE_HALVED_AFTER + age / _ALL_HALVED_AFTER)
        times.append(Observation(run.workload.time_counts, run.seconds, weight))
        if run.peak_bytes is not None:
            peaks.append(Observation(run.workload.memory_counts, run.peak_bytes, weight))
    return CostModel(fit(_SECONDS, times, _SPEED_DOUBT), fit(_BYTES, peaks))


def _kind(asked: Workload) -> object:
    """What like runs have in common: the networks, and the size within a factor of two in area."""
    size = round(math.log2(asked.largest_mp)) if 0 < asked.largest_mp < math.inf else None
    return asked.compact_mp > 0, asked.vgg19_mp > 0, size


def _network(backbone: str) -> str:
    # All others are vgg19 with other weights.
    return "compact" if backbone == "compact" else "vgg19"
