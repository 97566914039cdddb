import math
import random
from itertools import pairwise, product

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transfer.memory.plan import LevelShape, MemoryPlan
from transfer.planning.forecast import (
    CostModel,
    Forecast,
    TimedRun,
    Workload,
    count_work,
    estimate,
    fit_cost_model,
)
from transfer.planning.pyramid import first_schedule, scales, schedules
from transfer.settings import AdvancedSettings, Backbone, Effort, Method, Rendition, Settings

ALL = tuple(Rendition)
SITE_SIZES = (256, 512, 768, 1024, 2048)
SEEN = (
    Settings(long_edge_px=256, effort=Effort.DRAFT),
    Settings(long_edge_px=512),
    Settings(long_edge_px=1024, renditions=ALL, animation=True),
    Settings(long_edge_px=1024, effort=Effort.FINE),
    Settings(long_edge_px=2048, effort=Effort.DRAFT),
    Settings(long_edge_px=512, effort=Effort.FINE),
    Settings(long_edge_px=512, effort=Effort.DRAFT, renditions=ALL),
)
# What is learned from runs that scatter is right within a bound for nearly all devices, not for
# every one (the largest error in time on 3,000 of them was 21 %): the same devices at each run.
SAME_DEVICES = hypothesis.settings(derandomize=True)


def counted(settings: Settings, **more: int) -> Workload:
    return count_work(settings, round(settings.long_edge_px * 0.75), settings.long_edge_px, **more)


def at_first(settings: Settings, **more: int) -> Forecast:
    """The forecast before anything was painted."""
    return estimate(counted(settings, **more), CostModel())


def synthetic(source: random.Random) -> CostModel:
    """A device as they come: a slow laptop, or a graphics card a thousand times as fast."""
    speed = 10 ** source.uniform(-3, 0.7)
    return CostModel(
        (
            source.uniform(0.1, 1.5),
            10 ** source.uniform(-4, -2),
            speed,
            speed * source.uniform(4, 15),
            source.uniform(0.03, 0.12),
        ),
        (source.uniform(1.5e8, 6e8), source.uniform(1e8, 4e8), source.uniform(0.7, 2.0)),
    )


def timed_run(settings: Settings, device: CostModel, source: random.Random) -> TimedRun:
    """A run there, whose time and memory scatter by a twentieth."""
    expected = estimate(counted(settings), device)
    return TimedRun(
        counted(settings),
        expected.seconds * source.uniform(0.95, 1.05),
        expected.peak_bytes * source.uniform(0.95, 1.05),
    )


@SAME_DEVICES
@given(seed=st.integers(0, 2**32))
def test_seven_runs_suffice_to_forecast_all_others(seed: int) -> None:
    source = random.Random(seed)
    true = synthetic(source)

    found = fit_cost_model(timed_run(settings, true, source) for settings in SEEN)

    for edge, effort, renditions in product(SITE_SIZES, Effort, (ALL[:1], ALL)):
        settings = Settings(long_edge_px=edge, effort=effort, renditions=renditions)
        forecast, true_cost = estimate(counted(settings), found), estimate(counted(settings), true)
        assert forecast.seconds == pytest.approx(true_cost.seconds, rel=0.25)
        assert forecast.peak_bytes == pytest.approx(true_cost.peak_bytes, rel=0.25)


@SAME_DEVICES
@given(seed=st.integers(0, 2**32), factor=st.sampled_from([1e-6, 0.01, 100.0, 1e6]))
def test_an_outlier_does_not_spoil_the_fit(seed: int, factor: float) -> None:
    source = random.Random(seed)
    true = synthetic(source)
    runs = [timed_run(settings, true, source) for settings in SEEN] * 2
    odd = runs[3]

    found = fit_cost_model([TimedRun(odd.workload, odd.seconds * factor, odd.peak_bytes), *runs])

    forecast, true_cost = estimate(counted(SEEN[1]), found), estimate(counted(SEEN[1]), true)
    assert forecast.seconds == pytest.approx(true_cost.seconds, rel=0.25)


VALUES = st.sampled_from([-1.0, 0.0, 1e-300, 1e-9, 1.0, 1e9, 1e300, math.inf, -math.inf, math.nan])


@given(
    runs=st.lists(
        st.builds(
            TimedRun,
            st.one_of(
                st.sampled_from([counted(settings) for settings in SEEN]),
                st.builds(Workload, st.integers(-5, 5), *(VALUES,) * 5),
            ),
            VALUES,
            st.one_of(st.none(), VALUES),
        ),
        max_size=8,
    ),
    effort=st.sampled_from(Effort),
)
def test_forecasts_are_numbers_and_times_grow_with_size_after_any_runs(
    runs: list[TimedRun], effort: Effort
) -> None:
    device = fit_cost_model(runs)

    told = [
        estimate(counted(Settings(long_edge_px=edge, effort=effort)), device) for edge in SITE_SIZES
    ]
    assert all(0.0 < one.seconds < math.inf and 0.0 < one.peak_bytes < math.inf for one in told)
    for small, large in pairwise(told):
        assert small.seconds <= large.seconds


@pytest.mark.parametrize("effort", Effort)
def test_memory_grows_with_size_but_for_what_tiles_save(effort: Effort) -> None:
    told = [
        estimate(counted(Settings(long_edge_px=edge, effort=effort)), CostModel())
        for edge in SITE_SIZES
    ]
    for small, large in pairwise(told):
        assert small.peak_bytes <= 1.05 * large.peak_bytes
    assert told[-1].peak_bytes > 1.5 * told[0].peak_bytes


@given(
    edge=st.integers(64, 4095),
    effort=st.sampled_from(Effort),
    backbone=st.sampled_from(Backbone),
    seed=st.integers(0, 99),
)
def test_a_larger_painting_of_as_many_scales_takes_more(
    edge: int, effort: Effort, backbone: Backbone, seed: int
) -> None:
    # With one more scale, most evaluations move to a smaller size: 382 px takes less than 381. Nor
    # does memory always grow: what does not fit any more is computed by a smaller plan.
    device = synthetic(random.Random(seed))
    small, large = (
        estimate(count_work(Settings(effort=effort, backbone=backbone), *size), device)
        for size in ((edge, edge), (edge + 1, edge + 1))
    )
    if len(scales(edge, edge)) == len(scales(edge + 1, edge + 1)):
        assert small.seconds <= large.seconds


@pytest.mark.parametrize(
    ("less", "more"),
    [
        (Settings(), Settings(effort=Effort.FINE)),
        (Settings(), Settings(renditions=ALL)),
        (Settings(), Settings(animation=True)),
        (Settings(), Settings(brush_size=2.0)),
        (Settings(), Settings(advanced=AdvancedSettings(evaluations=400))),
        (Settings(backbone=Backbone.COMPACT), Settings(backbone=Backbone.VGG19)),
    ],
)
def test_more_work_takes_longer(less: Settings, more: Settings) -> None:
    assert at_first(less).seconds < at_first(more).seconds


def test_styles_and_masks_count() -> None:
    settings = Settings(method=Method.STATISTICS)
    one = at_first(settings)
    four = at_first(settings, styles=4)
    masked = at_first(settings, styles=4, masks=4)

    assert one.seconds < four.seconds < masked.seconds
    # As measured: an evaluation of four regions takes 1.6 (compact) or 1.3 (vgg19) times as long.
    assert 1.4 < masked.seconds / one.seconds < 1.7
    assert one.peak_bytes == four.peak_bytes < masked.peak_bytes
    assert at_first(settings, masks=1) == one


def test_matches_of_masked_styles_count() -> None:
    one, four, masked = (
        at_first(Settings(), styles=styles, masks=masks)
        for styles, masks in ((1, 0), (4, 0), (4, 4))
    )

    assert one.seconds < four.seconds < masked.seconds


def test_counted_work_is_that_of_the_schedule() -> None:
    settings = Settings(renditions=ALL, backbone=Backbone.VGG19_TORCHVISION)
    steps = [step for plan in schedules(settings, 384, 512).values() for step in plan]

    found = count_work(settings, 384, 512)

    assert found.evaluations == sum(step.evaluations for step in steps)
    assert found.compact_mp == 0.0
    pixels = sum(step.evaluations * step.evaluation_pixels for step in steps) / 1e6
    assert pixels < found.vgg19_mp < 1.2 * pixels
    assert found.largest_mp == 384 * 512 / 1e6
    assert found.step_bytes == MemoryPlan().bytes(LevelShape("vgg19", 384, 512, is_fp16=True))


def test_other_weights_of_one_network_take_as_long() -> None:
    other = Settings(backbone=Backbone.VGG19_TORCHVISION)

    assert at_first(other) == at_first(Settings(backbone=Backbone.VGG19))


def test_asking_for_the_planned_number_of_evaluations_changes_nothing() -> None:
    planned = sum(step.evaluations for step in first_schedule(Settings(), 384, 512))
    told = [
        at_first(Settings(advanced=AdvancedSettings(evaluations=number))).seconds
        for number in (50, planned, 400)
    ]

    assert told == sorted(told)
    assert told[1] == at_first(Settings()).seconds


def test_the_latest_runs_outweigh_older_ones() -> None:
    # A machine that is four times as fast: eight runs outweigh thirty.
    work = counted(Settings())
    found = fit_cost_model([TimedRun(work, 10.0)] * 8 + [TimedRun(work, 40.0)] * 30)

    assert estimate(work, found).seconds == pytest.approx(10.0, rel=0.25)
