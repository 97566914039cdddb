import io
import weakref
from dataclasses import dataclass, field

import pytest
import torch
from PIL import Image
from torch import Tensor

from transfer.imaging.animation import Recorder
from transfer.imaging.calm_chroma import calm_chroma
from transfer.imaging.images import to_image
from transfer.optim.iterate import Best, Iterate
from transfer.optim.lbfgs import LbfgsState
from transfer.pipeline import checkpoints
from transfer.pipeline.progress import Progress, ProgressTracker
from transfer.pipeline.renditions import RenditionTask
from transfer.planning.pyramid import Level
from transfer.settings import Rendition

PHOTO = torch.zeros(1, 3, 24, 32)
TASK = RenditionTask(PHOTO, (), PHOTO, lambda image: image)
COARSE, FINE = Level("compact", 12, 16, 4), Level("compact", 24, 32, 3)
REFINED = Level("compact", 24, 32, 2)
SCHEDULES = {Rendition.STYLED: (COARSE, FINE), Rendition.HISTOGRAM: (REFINED,)}
# Pixels times evaluations: the levels have one backbone.
COST = 4 * 12 * 16 + (3 + 2) * 24 * 32


@dataclass
class Listener:
    """A tracker, and everything that it reports."""

    recorder: Recorder | None = None
    reports: list[Progress] = field(default_factory=list)
    finished: dict[Rendition, Image.Image] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.tracker = ProgressTracker(
            SCHEDULES, "id", self.finished, self.reports.append, self.recorder
        )

    def evaluate(self, rendition: int, number: int, evaluation: int, done: int = 0) -> None:
        level = list(SCHEDULES.values())[rendition][number]
        iterate = Iterate(evaluation, 0.5, image(level, 0.25), LbfgsState())
        self.tracker.record_evaluation(TASK, rendition, number, 2.0, iterate, done)


def image(level: Level, value: float) -> Tensor:
    return torch.full((1, 3, level.height, level.width), value)


def test_the_fraction_is_the_share_of_the_cost() -> None:
    listener = Listener()
    for evaluation in range(1, 5):
        listener.evaluate(0, 0, evaluation)
    listener.tracker.finish_level(COARSE)
    listener.evaluate(0, 1, 1)

    fractions = [report.fraction for report in listener.reports]
    expected = [192 * number / COST for number in range(1, 5)] + [(4 * 192 + 768) / COST]
    assert fractions == pytest.approx(expected)
    assert [report.evaluation for report in listener.reports] == [1, 2, 3, 4, 5]
    assert {report.evaluations for report in listener.reports} == {9}
    assert [report.long_edge_px for report in listener.reports] == [16] * 4 + [32]


def test_a_level_that_converges_early_counts_as_a_whole() -> None:
    listener = Listener()
    listener.evaluate(0, 0, 1)
    listener.tracker.finish_level(COARSE)

    last = listener.reports[-1]
    assert last.evaluation == 4
    assert last.fraction == pytest.approx(4 * 192 / COST)
    assert listener.tracker.done == 1


def test_evaluations_before_a_checkpoint_count_as_progress_but_not_as_done() -> None:
    listener = Listener()
    listener.tracker.finish_level(COARSE)
    listener.evaluate(0, 1, 1, done=2)

    (report,) = listener.reports
    assert report.evaluation == 4 + 2 + 1
    assert listener.tracker.done == 1


def test_the_position_is_where_a_painting_resumes() -> None:
    listener = Listener()
    listener.finished[Rendition.STYLED] = Image.new("RGB", (32, 24))
    assert listener.tracker.position() is None

    listener.evaluate(1, 0, 2)
    position = listener.tracker.position()
    # What is finished later is not part of a position before.
    listener.finished[Rendition.HISTOGRAM] = Image.new("RGB", (32, 24))

    assert position is listener.reports[-1].position
    assert position is not None
    assert (position.fingerprint, position.rendition, position.level) == ("id", 1, 0)
    assert position.evaluations == 1  # With the optimizer state, the second is repeated.
    assert position.multiplier == 2.0
    assert list(position.finished) == [Rendition.STYLED]


def test_a_preview_shows_the_image_at_the_size_asked_for() -> None:
    listener = Listener()
    listener.evaluate(0, 0, 1)

    preview = listener.reports[0].preview(8)

    assert preview.size == (8, 6)
    assert preview.getpixel((4, 3)) == (64, 64, 64)


def test_only_the_best_image_is_shown_and_held_where_checkpoints_have_no_state(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(checkpoints, "STORED_HISTORY_MAX_BYTES", 0)
    listener = Listener()
    state = LbfgsState(best=Best(image(FINE, 1.0), 0.1))
    overshot = image(FINE, 0.0)
    held = weakref.ref(overshot)

    listener.tracker.record_evaluation(TASK, 0, 1, 1.0, Iterate(2, 0.5, overshot, state), 0)
    del overshot

    (report,) = listener.reports
    assert report.preview(8).getextrema() == ((255, 255),) * 3
    assert report.position.image.min() == 1.0
    assert held() is None


def test_previews_and_frames_show_the_calm_image(generator: torch.Generator) -> None:
    recorder = Recorder(7, 24, 32)
    listener = Listener(recorder)
    dotted = torch.rand(1, 3, 24, 32, generator=generator)
    seen = to_image(calm_chroma(dotted))

    iterate = Iterate(1, 0.5, dotted, LbfgsState())
    listener.tracker.record_evaluation(TASK, 0, 1, 1.0, iterate, 0)

    (report,) = listener.reports
    assert report.preview(32) == seen
    # A painting resumes from the image itself.
    assert torch.equal(report.position.image, dotted)
    (frame,) = recorder.frames.values()
    with io.BytesIO() as stream:
        seen.save(stream, "WEBP", quality=75, method=2)
        assert frame == stream.getvalue()


def test_frames_show_the_best_image_of_the_first_rendition_alone() -> None:
    recorder = Recorder(7, 24, 32)
    listener = Listener(recorder)
    best = Best(image(COARSE, 1.0), 0.1)
    state = LbfgsState(best=best)
    iterate = Iterate(1, 0.5, image(COARSE, 0.0), state)

    listener.tracker.record_evaluation(TASK, 0, 0, 1.0, iterate, 0)
    listener.evaluate(1, 0, 1)

    assert list(recorder.frames) == [0]
    with Image.open(io.BytesIO(recorder.frames[0])) as frame:
        assert frame.convert("L").getextrema() == (255, 255)
    assert listener.reports[0].position.frames == recorder.frames
