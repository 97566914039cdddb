from itertools import pairwise

import pytest

from transfer.memory.plan import (
    LevelShape,
    MemoryPlan,
    choose_plan,
    default_bytes,
    memory_plans,
)
from transfer.optim.history import PAINTING_HISTORY


@pytest.mark.parametrize("is_cuda", [False, True])
@pytest.mark.parametrize("is_fp16", [False, True])
@pytest.mark.parametrize("backbone", ["compact", "vgg19"])
@pytest.mark.parametrize(("height", "width"), [(64, 48), (384, 512), (3072, 4096)])
def test_plans_give_up_speed_for_memory_step_by_step(
    height: int, width: int, backbone: str, is_fp16: bool, is_cuda: bool
) -> None:
    shape = LevelShape(backbone, height, width, is_fp16=is_fp16)
    plans = memory_plans(shape, is_cuda=is_cuda)

    # On a CPU, large pictures are quicker in tiles.
    assert (plans[0] == MemoryPlan()) == (is_cuda or width < 1000)
    for faster, smaller in pairwise(plans):
        assert faster != smaller
        assert smaller.history <= faster.history
        if faster.tile_px is not None and smaller.tile_px is not None:
            assert smaller.tile_px <= faster.tile_px
    assert len(set(plans)) == len(plans)
    needed = [plan.bytes(shape) for plan in plans]
    assert needed[-1] == min(needed)


def test_large_pictures_have_a_short_history_on_a_cpu() -> None:
    shape = LevelShape("compact", 3072, 4096)

    assert {plan.history for plan in memory_plans(shape)} == {2}
    assert memory_plans(shape, is_cuda=True)[0].history == PAINTING_HISTORY
    assert memory_plans(LevelShape("compact", 1536, 2048))[0].history == PAINTING_HISTORY


def test_the_first_plan_that_fits_is_chosen() -> None:
    shape = LevelShape("vgg19", 768, 1024)
    plans = memory_plans(shape)
    needed = [plan.bytes(shape) for plan in plans]

    assert choose_plan(plans, 10**12, shape) == 0
    assert choose_plan(plans, 0, shape) == len(plans) - 1
    for available_bytes in needed:
        index = choose_plan(plans, available_bytes, shape)
        assert needed[index] <= available_bytes
        assert all(larger > available_bytes for larger in needed[:index])


def test_a_style_larger_than_the_painting_takes_more_memory() -> None:
    small, usual, large = (
        MemoryPlan().bytes(LevelShape("vgg19", 384, 512, brush_size=size))
        for size in (0.5, 1.0, 2.0)
    )

    assert small == usual
    assert large > 1.5 * usual


@pytest.mark.parametrize("plan", [MemoryPlan(), MemoryPlan(256)])
def test_faces_take_memory_for_their_features(plan: MemoryPlan) -> None:
    """Of relu3_1 the photo has 256 channels in vgg19, at every sixteenth pixel."""
    without, kept = (
        plan.bytes(LevelShape("vgg19", 384, 512, has_faces=has_faces))
        for has_faces in (False, True)
    )

    assert kept - without == pytest.approx(4 * 256 * 384 * 512 / 16, abs=1)


def test_a_usual_picture_is_painted_at_once_within_the_default_limit() -> None:
    shape = LevelShape("compact", 384, 512, is_fp16=True)

    assert MemoryPlan().bytes(shape) < default_bytes(shape.height, shape.width)


def test_saved_maps_and_longer_histories_take_memory() -> None:
    shape = LevelShape("vgg19", 768, 1024)
    by_stage = [MemoryPlan(256, 2, stage).bytes(shape) for stage in (0, 2, 3, None)]
    by_history = [MemoryPlan(256, history).bytes(shape) for history in (2, 4, PAINTING_HISTORY)]

    assert by_stage == sorted(by_stage, reverse=True)
    assert by_history == sorted(by_history)
