import subprocess
import sys
import threading
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from transfer import AdvancedSettings, Cancelled, Effort, InvalidSetting, Settings
from transfer.engine import Painter, Progress
from transfer.memory.budget import (
    Budget,
    bytes_in_use,
    call_in_healthy_thread,
    default_budget,
    is_out_of_memory,
)
from transfer.memory.plan import HISTORY, LevelShape, MemoryPlan, choose_plan, memory_plans
from transfer.settings import Backbone

CPU = torch.device("cpu")


@pytest.mark.parametrize("is_cuda", [False, True])
@pytest.mark.parametrize("is_fp16", [False, True])
@pytest.mark.parametrize("backbone", ["compact", "vgg19"])
@pytest.mark.parametrize(("height", "width"), [(64, 48), (384, 512), (3072, 4096)])
def test_the_ladder_goes_down(
    height: int, width: int, backbone: str, is_fp16: bool, is_cuda: bool
) -> None:
    shape = LevelShape(backbone, height, width, is_fp16=is_fp16)
    plans = memory_plans(shape, is_cuda=is_cuda)

    # On a CPU, large pictures are quicker in tiles.
    assert (plans[0] == MemoryPlan()) == (is_cuda or width < 1000)
    for upper, lower in pairwise(plans):
        assert upper != lower
        assert lower.history <= upper.history
        if upper.tile_px is not None and lower.tile_px is not None:
            assert lower.tile_px <= upper.tile_px
    assert len(set(plans)) == len(plans)
    needed = [plan.bytes(shape) for plan in plans]
    assert needed[-1] == min(needed)


def test_large_pictures_have_a_short_history_on_a_cpu() -> None:
    shape = LevelShape("compact", 3072, 4096)

    assert {plan.history for plan in memory_plans(shape)} == {2}
    assert memory_plans(shape, is_cuda=True)[0].history == HISTORY
    assert memory_plans(LevelShape("compact", 1536, 2048))[0].history == HISTORY


def test_as_much_memory_is_used_as_there_is() -> None:
    shape = LevelShape("vgg19", 768, 1024)
    plans = memory_plans(shape)
    needed = [plan.bytes(shape) for plan in plans]

    found = [choose_plan(plans, available_bytes, shape) for available_bytes in (10**12, *needed, 0)]

    assert found[0] == 0
    assert found[-1] == len(plans) - 1
    for number, available_bytes in zip(found[1:-1], needed, strict=True):
        assert needed[number] <= available_bytes


def test_the_usual_budget_keeps_what_the_documentation_says() -> None:
    assert default_budget(384, 512, CPU) <= 1.2e9
    assert default_budget(768, 1024, CPU) <= 1.5e9
    assert default_budget(3072, 4096, CPU) <= 2.5e9


def test_errors_of_memory_are_told_from_others() -> None:
    assert is_out_of_memory(MemoryError())
    assert is_out_of_memory(torch.OutOfMemoryError("x"))
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 62, dtype=torch.uint8)
    assert is_out_of_memory(caught.value)
    assert not is_out_of_memory(RuntimeError("size mismatch"))
    assert not is_out_of_memory(ValueError("allocate memory"))


def test_a_style_that_is_seen_larger_needs_more() -> None:
    small, usual, large = (
        MemoryPlan().bytes(LevelShape("vgg19", 384, 512, brush_size=size))
        for size in (0.5, 1.0, 2.0)
    )

    assert small == usual
    assert large > 1.5 * usual


def test_an_unknown_precision_is_refused() -> None:
    with pytest.raises(InvalidSetting, match="auto or half or single"):
        Painter("cpu", precision="double")


def test_too_little_to_begin_with_is_refused() -> None:
    with pytest.raises(InvalidSetting, match=r"at least 0\.5 GB"):
        Painter("cpu", max_memory=1000)


SMALL = Settings(
    long_edge_px=160,
    effort=Effort.DRAFT,
    backbone=Backbone.COMPACT,
    advanced=AdvancedSettings(evaluations=15),
)


def difference(one: Image.Image, other: Image.Image) -> float:
    return float(np.abs(np.asarray(one, float) - np.asarray(other, float)).mean()) / 255


@pytest.fixture(scope="module")
def tight() -> Painter:
    """The process already holds more than it may: the lowest rung is all that is left."""
    painter = Painter("cpu", threads=1, max_memory=500_000_000)
    painter.held = torch.ones(125_000_000)
    return painter


def test_without_a_limit_the_way_depends_on_the_painting_alone() -> None:
    shape = LevelShape("vgg19", 384, 512)
    for is_strict in (False, True):
        budget = Budget(bytes_in_use(CPU) + 700_000_000, CPU, is_strict=is_strict)
        before = budget.first_plan(shape)
        held = torch.ones(100_000_000)
        after = budget.first_plan(shape)
        assert (after == before) is not is_strict
        del held


def test_a_painting_in_tiles_is_the_same_picture(
    painter: Painter, tight: Painter, content: Image.Image, style: Image.Image
) -> None:
    whole = painter.paint(content, [style], SMALL)
    tiled = tight.paint(content, [style], SMALL)

    assert whole.memory_plan == MemoryPlan()
    assert tiled.memory_plan.tile_px == 128
    assert tiled.memory_plan.history < HISTORY
    (one,), (other,) = whole.renditions.values(), tiled.renditions.values()
    # Rounding and the shorter history; photo and style are 0.3 apart.
    assert difference(one, other) < 0.05
    assert tiled.evaluations == whole.evaluations


@pytest.mark.parametrize("is_tight_first", [True, False])
def test_a_painting_goes_on_on_another_rung(
    painter: Painter,
    tight: Painter,
    content: Image.Image,
    style: Image.Image,
    is_tight_first: bool,
) -> None:
    taken: list[bytes] = []

    def stop(progress: Progress) -> None:
        if progress.fraction > 0.7:
            taken.append(progress.checkpoint())
            raise Cancelled

    first, second = (tight, painter) if is_tight_first else (painter, tight)
    whole = painter.paint(content, [style], SMALL)
    with pytest.raises(Cancelled):
        first.paint(content, [style], SMALL, stop)
    rest = second.paint(content, [style], SMALL, checkpoint=taken[0])

    assert rest.evaluations < whole.evaluations
    (one,), (other,) = whole.renditions.values(), rest.renditions.values()
    assert difference(one, other) < 0.05


def test_a_thread_that_onednn_refuses_is_not_asked_again() -> None:
    asked: list[int] = []

    def refused() -> None:
        asked.append(threading.get_ident())
        raise RuntimeError("could not create a primitive")

    def main() -> None:
        for _ in range(2):
            with pytest.raises(RuntimeError, match="could not create a primitive"):
                call_in_healthy_thread(refused)
        asked.append(call_in_healthy_thread(threading.get_ident))

    # In a thread of the test's own: it is spoiled for good.
    thread = threading.Thread(target=main)
    thread.start()
    thread.join()

    first, *others = asked
    assert first == thread.ident
    assert len(others) == 2
    assert first not in others


LIMITED = """
import resource, sys
import torch
from PIL import Image
from transfer import Effort, AdvancedSettings, Settings
from transfer.engine import Painter
from transfer.errors import MemoryExceeded
from transfer.memory.budget.malloc import arrange_heap
from transfer.memory.budget.plan import MemoryPlan
from transfer.settings import Backbone

arrange_heap(is_limited=True)
content, style = map(Image.open, sys.argv[1:3])
painter = Painter("cpu", threads=1, max_memory=10**12)
painter.backbone("compact")
settings = Settings(
    768, effort=Effort.DRAFT, backbone=Backbone.COMPACT, expert=AdvancedSettings(evaluations=10)
)
small = Settings(64, effort=Effort.DRAFT, backbone=Backbone.COMPACT)
painter.paint(content, [style], small)  # everything is loaded

def status(name):
    return int(open("/proc/self/status").read().split(name + ":")[1].split()[0]) * 1024

held = status("VmRSS")
assert painter.paint(content, [style], settings).memory == MemoryPlan()
room = int(float(sys.argv[3]) * (status("VmHWM") - held))
usual = resource.getrlimit(resource.RLIMIT_DATA)
resource.setrlimit(resource.RLIMIT_DATA, (status("VmData") + room, usual[1]))
heard = []
try:
    done = painter.paint(content, [style], settings, lambda one: heard.append(one.evaluation))
except MemoryExceeded as error:
    print(error)
else:
    assert heard == sorted(heard), heard
    print(done.memory.tile_px, done.evaluations, *done.renditions.values())
resource.setrlimit(resource.RLIMIT_DATA, usual)
painter.paint(content, [style], small)
"""


@pytest.fixture
def limited(tmp_path: Path, content: Image.Image, style: Image.Image) -> Callable[[float], str]:
    """Paints in a process that believes in a terabyte and gets a share of what it needs.

    How much an evaluation takes depends on the processor, so the process measures it first: the
    memory that it painted the whole picture in.
    """
    paths = [tmp_path / "content.png", tmp_path / "style.png"]
    content.save(paths[0])
    style.save(paths[1])

    def paint(share: float) -> str:
        done = subprocess.run(
            [sys.executable, "-c", LIMITED, *paths, str(share)], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return paint


def test_a_process_at_its_limit_goes_down_the_ladder(limited: Callable[[float], str]) -> None:
    # Tiles were taken from 0.4 to 0.87 of it in single precision, at 0.7 and 0.85 in half.
    out = limited(0.65)

    tile_px, evaluations, *image = out.split()
    assert int(tile_px) < 768
    assert int(evaluations) >= 8
    assert "768x576" in " ".join(image)


def test_only_the_lowest_rung_gives_up(limited: Callable[[float], str]) -> None:
    """And after that, with more memory, the same process paints again."""
    # About 8 MB, less than two images of 768 x 576 px; a painting holds six.
    assert "not enough memory to paint at 768 px" in limited(0.05)
