"""Forecasts of a painting's seconds and memory on a device, learned from its finished paintings.

`count_work` counts the work that a painting's schedule asks for, `fit_cost_model` fits the cost
coefficients of one device to finished paintings, and `estimate` multiplies the two. The caller
stores the runs. Free of torch: the web pages show a forecast before anything is painted.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from transfer.memory.plan import PROCESS_BYTES, LevelShape, choose_plan, default_bytes, memory_plans
from transfer.planning import pyramid
from transfer.planning.robust_fit import Coefficient, Observation, fit, predict
from transfer.settings import ANIMATION_EDGE_MAX_PX, ANIMATION_FRAMES_MAX, Settings

_TARGETS = 0.5
"""Time to compute the features of one picture, relative to an evaluation, which also goes back."""
_REGION_TIME = {"compact": 0.2, "vgg19": 0.11}
"""Time that each further region adds to an evaluation, relative to it: the region's statistics are
computed over the whole picture. Where places are matched, it adds their matches. Measured with four
masked styles, docs/engine.md."""
_REGION_BYTES = 10
"""Bytes that each further region adds per pixel: its mask, and its weights at each layer."""
_RENDITION = 4.0
"""Time to store a rendition with its thumbnails, relative to an animation's frame of its size."""

_SECONDS = (
    Coefficient(0.7, 0.7),
    Coefficient(0.008, 1.0),
    Coefficient(0.53, 0.4, is_shared=True),
    Coefficient(3.7, 0.4, is_shared=True),
    Coefficient(0.056, 0.5),
)
"""Priors of the seconds of a painting (0.4 of them to look for faces), an evaluation, a megapixel
seen by compact and by vgg19, and a megapixel encoded, on two cores of a server CPU. Devices differ
by orders of magnitude in the speed of networks."""
_SPEED_LOG_STD = 3.0
"""Prior standard deviation of the logarithm of a device's speed in both networks."""
_BYTES = (Coefficient(0.23e9, 0.3), Coefficient(0.2e9, 0.5), Coefficient(1.16, 0.3))
"""Priors of the bytes of a process that has not painted yet, of vgg19 in it, and of each byte that
`MemoryPlan.bytes` estimates; fitted to draft and standard paintings of 256 to 4096 px (within
17 %)."""

_HALF_LIFE_SAME_KIND = 4.0
_HALF_LIFE = 20.0
"""Newer runs that halve the weight of a run: those of its kind, and all. So a new machine is
noticed soon, and rare kinds of paintings are not forgotten."""


@dataclass(frozen=True)
class Workload:
    """The work of a painting, counted."""

    evaluations: int
    compact_mp: float
    """Megapixels that compact sees over all evaluations, those for targets and regions included."""
    vgg19_mp: float
    """Megapixels that vgg19 sees."""
    encoded_mp: float
    """Megapixels that are encoded into files."""
    largest_mp: float
    """Megapixels of the painting."""
    step_bytes: float
    """Memory beyond that of the process, of the step that takes most; by the plan that is chosen
    with the default limit."""

    @property
    def time_counts(self) -> tuple[float, ...]:
        """Counts for the coefficients of `_SECONDS`."""
        return 1.0, float(self.evaluations), self.compact_mp, self.vgg19_mp, self.encoded_mp

    @property
    def memory_counts(self) -> tuple[float, ...]:
        """Counts for the coefficients of `_BYTES`."""
        return 1.0, float(self.vgg19_mp > 0.0), self.step_bytes


@dataclass(frozen=True)
class TimedRun:
    """The measured cost of a painting that was not interrupted."""

    workload: Workload
    seconds: float
    peak_bytes: float | None = None
    """Peak memory of the process; None: not measured."""


@dataclass(frozen=True)
class CostModel:
    """Cost coefficients of one device; without arguments, the prior ones."""

    seconds: tuple[float, ...] = tuple(prior.value for prior in _SECONDS)
    """Coefficients of `Workload.time_counts`."""
    bytes: tuple[float, ...] = tuple(prior.value for prior in _BYTES)
    """Coefficients of `Workload.memory_counts`."""


@dataclass(frozen=True)
class Forecast:
    """Expected cost of a painting."""

    seconds: float
    peak_bytes: float
    """Peak memory of the whole process, or of the device where that has its own memory."""


def count_work(
    settings: Settings,
    height: int,
    width: int,
    *,
    styles: int = 1,
    masks: int = 0,
    base_px: int | None = None,
) -> Workload:
    """Count the work of painting a picture of this size.

    Args:
        settings: of the painting.
        height: of the painting, px.
        width: of the painting, px.
        styles: number of styles, without those of weight 0.
        masks: number of styles that have a mask.
        base_px: long edge of the earlier painting that this one starts from; None: from none.
    """
    regions = styles if masks else 1
    plans = pyramid.schedules(settings, height, width, base_px)
    levels = [level for plan in plans.values() for level in plan]
    megapixels = {"compact": 0.0, "vgg19": 0.0}
    step_bytes = 0.0
    # The content, and each style at the size at which the network sees it.
    targets = _TARGETS * (1.0 + styles * settings.brush_size**2)
    for level in levels:
        network = _network(level.backbone)
        pixels = level.height * level.width / 1e6
        if level.stage.is_matching:
            region_pixels = float(pyramid.MATCH_PIXELS)
        else:
            region_pixels = _REGION_TIME[network] * level.height * level.width
        seen = level.evaluation_pixels + (regions - 1) * region_pixels
        megapixels[network] += level.evaluations * seen / 1e6 + pixels * targets
        needed = _level_bytes(level, settings.brush_size)
        needed += _REGION_BYTES * 1e6 * pixels * (regions - 1)
        step_bytes = max(step_bytes, needed)
    encoded = _RENDITION * len(plans) * height * width / 1e6
    if settings.animation:
        first = sum(level.evaluations for level in plans[settings.renditions[0]])
        scale = min(1.0, ANIMATION_EDGE_MAX_PX / max(height, width))
        encoded += min(ANIMATION_FRAMES_MAX, first) * scale**2 * height * width / 1e6
    return Workload(
        sum(level.evaluations for level in levels),
        megapixels["compact"],
        megapixels["vgg19"],
        encoded,
        height * width / 1e6,
        step_bytes,
    )


def _level_bytes(level: pyramid.Level, brush_size: float) -> float:
    """Estimate the bytes that a step takes beyond the process, with gradients in half precision.

    Devices that compute in single precision take more, which the fit puts into their coefficients.
    """
    shape = LevelShape(level.backbone, level.height, level.width, 3, brush_size, is_fp16=True)
    plans = memory_plans(shape)
    available_bytes = default_bytes(level.height, level.width) - PROCESS_BYTES
    return plans[choose_plan(plans, available_bytes, shape)].bytes(shape)


def estimate(work: Workload, device: CostModel) -> Forecast:
    """Return the expected cost of some work on a device."""
    return Forecast(
        predict(device.seconds, work.time_counts), predict(device.bytes, work.memory_counts)
    )


def fit_cost_model(runs: Iterable[TimedRun]) -> CostModel:
    """Fit the cost coefficients of a device to runs on it, robust to outliers.

    Args:
        runs: of one device, the latest first.
    """
    ages: dict[object, int] = {}
    times, peaks = [], []
    for age, run in enumerate(runs):
        kind = _kind(run.workload)
        newer = ages.get(kind, 0)
        ages[kind] = newer + 1
        weight = 0.5 ** (newer / _HALF_LIFE_SAME_KIND + age / _HALF_LIFE)
        times.append(Observation(run.workload.time_counts, run.seconds, weight))
        if run.peak_bytes is not None:
            peaks.append(Observation(run.workload.memory_counts, run.peak_bytes, weight))
    return CostModel(fit(_SECONDS, times, _SPEED_LOG_STD), fit(_BYTES, peaks))


def _kind(work: Workload) -> object:
    """Return the networks of a run and its size, within a factor of two in area, as a key."""
    size = round(math.log2(work.largest_mp)) if 0 < work.largest_mp < math.inf else None
    return work.compact_mp > 0, work.vgg19_mp > 0, size


def _network(backbone: str) -> str:
    # All others are vgg19 with other weights.
    return "compact" if backbone == "compact" else "vgg19"
