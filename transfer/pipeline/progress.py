"""Progress of a painting over all its renditions."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from PIL import Image
from torch import Tensor

from transfer.imaging.animation import Recorder
from transfer.imaging.calm_chroma import calm_chroma
from transfer.imaging.images import fit_size, resize, to_image
from transfer.optim.iterate import Iterate
from transfer.pipeline.checkpoints import Checkpoint, resume_point
from transfer.pipeline.renditions import RenditionTask
from transfer.planning.pyramid import Level
from transfer.settings import Rendition


@dataclass(frozen=True)
class Progress:
    """Progress of a painting after one evaluation."""

    fraction: float
    """Share of the expected time over all renditions, 0 to 1; never falls."""
    evaluation: int
    """Number of the evaluation over all renditions, from 1."""
    evaluations: int
    """Number of all evaluations that are scheduled."""
    rendition: Rendition
    """Rendition that is being painted."""
    long_edge_px: int
    """Long edge of the image at this level."""
    loss: float
    _render: Callable[[int], Image.Image] = field(repr=False, compare=False)
    position: Checkpoint = field(repr=False, compare=False)
    """Checkpoint at this evaluation, before it is turned into bytes."""

    def preview(self, long_edge_px: int) -> Image.Image:
        """Render the best image so far at a size, while the callback runs or after."""
        return self._render(long_edge_px)

    def checkpoint(self) -> bytes:
        """Return the bytes with which `Painter.paint` resumes here, in any process."""
        return self.position.to_bytes()


OnProgress = Callable[[Progress], None]


class ProgressTracker:
    """Counts evaluations against the schedules, and reports each.

    Args:
        schedules: levels of each rendition, in painting order.
        fingerprint: see `checkpoints.fingerprint`.
        finished: finished renditions, a mapping that the caller adds to.
        on_progress: called after each evaluation.
        recorder: takes the frames of the animation, if there is one.
    """

    def __init__(
        self,
        schedules: Mapping[Rendition, Sequence[Level]],
        fingerprint: str,
        finished: Mapping[Rendition, Image.Image],
        on_progress: OnProgress | None,
        recorder: Recorder | None = None,
    ) -> None:
        self.done = 0
        """Number of evaluations done, without those that a converged level did not need."""
        self._schedules = list(schedules.items())
        self._fingerprint = fingerprint
        self._finished = finished
        levels = [level for schedule in schedules.values() for level in schedule]
        self._evaluations = sum(level.evaluations for level in levels)
        self._cost = sum(level.cost for level in levels)
        # Cost and evaluations of the levels before this one, whether all were needed or not.
        self._cost_before = 0.0
        self._evaluations_before = 0
        self._on_progress = on_progress
        self._recorder = recorder
        self._last: Progress | None = None

    def record_evaluation(
        self,
        task: RenditionTask,
        rendition: int,
        number: int,
        multiplier: float,
        iterate: Iterate,
        done: int,
    ) -> None:
        """Count an evaluation, take a frame if one is due, and report the progress.

        Args:
            task: the rendition's task.
            rendition: index of the rendition in the schedules.
            number: index of the level in the rendition's schedule.
            multiplier: the content penalty's at the start of the level.
            iterate: state of L-BFGS after the evaluation.
            done: evaluations of this level before the run of L-BFGS.
        """
        self.done += 1
        name, levels = self._schedules[rendition]
        level = levels[number]
        evaluation = iterate.number + done
        # The best image is held anyway, until the next evaluation. Neither the image, where no
        # checkpoint has it, nor the iterate is: an image, or a curvature pair that L-BFGS drops
        # meanwhile, takes 151 MB at 4096 px.
        best = iterate.best
        if self._recorder is not None and rendition == 0:
            self._recorder.record_if_due(
                self._evaluations_before + evaluation,
                lambda height, width: _render(task, best, height, width),
            )
        evaluations, start, optimizer_state = resume_point(iterate, done)
        position = Checkpoint(
            fingerprint=self._fingerprint,
            rendition=rendition,
            level=number,
            evaluations=evaluations,
            image=start,
            finished=dict(self._finished),
            frames={} if self._recorder is None else self._recorder.frames,
            multiplier=multiplier,
            optimizer_state=optimizer_state,
        )
        cost = self._cost_before + evaluation * level.evaluation_cost
        self._report(
            Progress(
                fraction=min(1.0, cost / self._cost),
                evaluation=self._evaluations_before + evaluation,
                evaluations=self._evaluations,
                rendition=name,
                long_edge_px=level.long_edge_px,
                loss=iterate.loss,
                _render=lambda long_edge_px: _render(
                    task, best, *fit_size(best.shape[2], best.shape[3], long_edge_px)
                ),
                position=position,
            )
        )

    def position(self) -> Checkpoint | None:
        """Return the checkpoint of the last evaluation, None before the first."""
        return None if self._last is None else self._last.position

    def finish_level(self, level: Level) -> None:
        """Count all evaluations of a level, even if it converged early."""
        self._cost_before += level.cost
        self._evaluations_before += level.evaluations
        if self._last is not None and self._last.evaluation < self._evaluations_before:
            fraction = min(1.0, self._cost_before / self._cost)
            self._report(
                replace(self._last, fraction=fraction, evaluation=self._evaluations_before)
            )

    def _report(self, progress: Progress) -> None:
        self._last = progress
        if self._on_progress is not None:
            self._on_progress(progress)


def _render(task: RenditionTask, image: Tensor, height: int, width: int) -> Image.Image:
    return to_image(task.to_rgb(resize(calm_chroma(image), height, width)))
