from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transfer.planning.pyramid import (
    MIN_EDGE_PX,
    Level,
    first_schedule,
    refine_schedule,
    scales,
    schedules,
)
from transfer.settings import AdvancedSettings, Backbone, Effort, Method, Rendition, Settings
from transfer.stages import Stage

STATISTICS = Settings(method=Method.STATISTICS)


def sizes_and_evaluations(settings: Settings, edge: int = 512) -> list[tuple[str, int, int]]:
    steps = first_schedule(settings, edge, edge)
    return [(step.backbone, step.long_edge_px, step.evaluations) for step in steps]


def stages(settings: Settings, edge: int = 512) -> list[tuple[Stage, str, int]]:
    steps = first_schedule(settings, edge, edge)
    return [(step.stage, step.backbone, step.long_edge_px) for step in steps]


def test_matching_goes_from_statistics_over_shapes_to_strokes() -> None:
    assert stages(Settings()) == [
        (Stage.STATISTICS, "compact", 128),
        (Stage.SHAPES, "vgg19", 128),
        (Stage.SHAPES, "vgg19", 256),
        (Stage.STROKES, "vgg19", 512),
    ]


@pytest.mark.parametrize("effort", Effort)
@pytest.mark.parametrize("edge", [64, 128, 256, 512, 1024, 4096])
def test_every_size_ends_with_strokes(edge: int, effort: Effort) -> None:
    levels = stages(Settings(effort=effort), edge)

    assert levels[0][0] is Stage.STATISTICS
    assert levels[1][0] is Stage.SHAPES
    assert levels[-1] == (Stage.STROKES, "vgg19", edge)


def test_all_efforts_begin_alike() -> None:
    draft, standard, fine = (
        first_schedule(Settings(effort=effort), 512, 384)[:2] for effort in Effort
    )

    assert draft == standard == fine


def test_an_evaluation_of_strokes_is_cheaper_than_one_of_shapes() -> None:
    strokes, shapes = (
        Level("vgg19", 512, 512, 1, stage).cost for stage in (Stage.STROKES, Stage.SHAPES)
    )

    assert strokes < 0.7 * shapes


def test_standard_lets_compact_paint_and_vgg19_finish() -> None:
    assert sizes_and_evaluations(STATISTICS) == [
        ("compact", 128, 100),
        ("compact", 256, 60),
        ("compact", 512, 25),
        ("vgg19", 512, 10),
    ]


def test_larger_sizes_go_on_from_512_px_with_fewer_evaluations() -> None:
    steps = sizes_and_evaluations(replace(STATISTICS, long_edge_px=1024), 1024)

    assert steps[:4] == sizes_and_evaluations(STATISTICS)
    assert [(name, edge) for name, edge, _ in steps[4:]] == [("compact", 1024), ("vgg19", 1024)]
    assert steps[4][2] < 25
    assert steps[5][2] < 10


def test_beyond_1024_px_compact_paints_alone() -> None:
    steps = sizes_and_evaluations(replace(STATISTICS, long_edge_px=4096), 4096)

    assert steps[:6] == sizes_and_evaluations(replace(STATISTICS, long_edge_px=1024), 1024)
    assert [(name, edge) for name, edge, _ in steps[6:]] == [("compact", 2048), ("compact", 4096)]


@pytest.mark.parametrize("effort", Effort)
@pytest.mark.parametrize("backbone", [one for one in Backbone if one is not Backbone.AUTO])
def test_a_named_backbone_paints_alone(effort: Effort, backbone: Backbone) -> None:
    settings = Settings(effort=effort, backbone=backbone)
    steps = first_schedule(settings, 512, 384) + refine_schedule(settings, 512, 384)

    assert {step.backbone for step in steps} == {backbone.value}


@given(
    height=st.integers(MIN_EDGE_PX, 8192),
    width=st.integers(MIN_EDGE_PX, 8192),
    effort=st.sampled_from(Effort),
)
def test_every_plan_grows_to_the_full_size(height: int, width: int, effort: Effort) -> None:
    settings = Settings(effort=effort)
    steps = first_schedule(settings, height, width)

    edges = [step.long_edge_px for step in steps]
    assert edges == sorted(edges)
    assert (steps[-1].height, steps[-1].width) == (height, width)
    assert all(min(step.height, step.width) >= MIN_EDGE_PX for step in steps)
    assert all(step.evaluations > 0 and step.cost > 0 for step in steps)


@given(height=st.integers(MIN_EDGE_PX, 8192), width=st.integers(MIN_EDGE_PX, 8192))
def test_scales_double(height: int, width: int) -> None:
    found = scales(height, width)

    assert found[-1] == (height, width)
    for coarse, fine in pairwise(found):
        assert all(abs(2 * a - b) <= 2 for a, b in zip(coarse, fine, strict=True))


def test_each_effort_is_more_work_than_the_one_before() -> None:
    costs = [
        sum(step.cost for step in first_schedule(Settings(effort=effort), 512, 384))
        for effort in Effort
    ]

    assert costs == sorted(costs)
    assert len(set(costs)) == 3


@given(
    evaluations=st.integers(10, 10_000),
    edge=st.sampled_from([64, 512, 4096]),
    effort=st.sampled_from(Effort),
)
def test_evaluations_scale_the_plan(evaluations: int, edge: int, effort: Effort) -> None:
    usual = Settings(effort=effort, renditions=tuple(Rendition))
    asked = Settings(
        effort=effort,
        renditions=tuple(Rendition),
        advanced=AdvancedSettings(evaluations=evaluations),
    )
    before, after = schedules(usual, edge, edge), schedules(asked, edge, edge)

    styled = after[Rendition.STYLED]
    # Each step is rounded, and none is left out.
    assert abs(sum(step.evaluations for step in styled) - evaluations) <= len(styled)
    factor = evaluations / sum(step.evaluations for step in before[Rendition.STYLED])
    for rendition in Rendition:
        for old, new in zip(before[rendition], after[rendition], strict=True):
            assert (new.backbone, new.height, new.width) == (old.backbone, old.height, old.width)
            assert new.evaluations == max(1, round(factor * old.evaluations))
