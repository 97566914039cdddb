"""How far a painting is, over all its renditions."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from PIL import Image
from torch import Tensor

from transfer.imaging.animation import Recorder
from transfer.imaging.images import fit_size, resize, to_image
from transfer.optim.lbfgs import Iterate
from transfer.pipeline.checkpoints import Checkpoint, resume_point
from transfer.pipeline.renditions import RenditionTask
from transfer.planning import pyramid
from transfer.settings import Rendition


@dataclass(frozen=True)
class Progress:
    """Where a painting stands after an evaluation."""

    fraction: float
    """0 to 1 over all renditions, by expected time; never falls."""
    evaluation: int
    evaluations: int
    rendition: Rendition
    long_edge_px: int
    """Size of the image at the moment: coarse to fine."""
    loss: float
    _render: Callable[[int], Image.Image] = field(repr=False, compare=False)
    position: Checkpoint = field(repr=False, compare=False)
    """Where the painting stands, for `checkpoint`."""

    def preview(self, long_edge_px: int) -> Image.Image:
        """The image as it is now; made only when asked for, while the callback runs or after."""
        return self._render(long_edge_px)

    def checkpoint(self) -> bytes:
        """What `paint` needs to go on from here, in this process or another."""
        return self.position.to_bytes()


OnProgress = Callable[[Progress], None]


class ProgressTracker:
    """How much of all that is planned has been done, and who hears of it."""

    def __init__(
        self,
        plans: Mapping[Rendition, Sequence[pyramid.Level]],
        fingerprint: str,
        finished: Mapping[Rendition, Image.Image],
        on_progress: OnProgress | None,
        recorder: Recorder | None = None,
    ) -> None:
        self.done = 0
        """Evaluations; those that a converged scale did not need are not among them."""
        self._plans = list(plans.items())
        self._fingerprint = fingerprint
        self._renditions = finished
        levels = [level for plan in plans.values() for level in plan]
        self._evaluations = sum(level.evaluations for level in levels)
        self._cost = sum(level.cost for level in levels)
        self._spent = 0.0
        self._passed = 0  # evaluations, done or not needed, before the step at hand
        self._on_progress = on_progress
        self._recorder = recorder
        self._last: Progress | None = None

    def evaluation_callback(
        self, task: RenditionTask, rendition: int, number: int, multiplier: float, done: int
    ) -> Callable[[Iterate], None]:
        """What `minimize` calls after each evaluation of a step.

        Args:
            task: what is being painted.
            rendition: its place among the renditions.
            number: the step's place in the rendition's plan.
            multiplier: of the content, in that step.
            done: evaluations of this step that a checkpoint brought along.
        """
        name, levels = self._plans[rendition]
        level = levels[number]

        def on_evaluation(found: Iterate) -> None:
            self.done += 1
            evaluation = found.number + done
            if self._recorder is not None and rendition == 0:
                self._recorder.record_if_due(
                    self._passed + evaluation,
                    lambda height, width: _shown(task, found.best, height, width),
                )
            # Held until the next one comes; `found` is not: pairs that are forgotten by then take
            # 151 MB each at 4096 px.
            image = found.image
            evaluations, start, optimizer_state = resume_point(found, done)
            position = Checkpoint(
                fingerprint=self._fingerprint,
                rendition=rendition,
                level=number,
                evaluations=evaluations,
                image=start,
                finished=dict(self._renditions),
                frames={} if self._recorder is None else self._recorder.frames,
                multiplier=multiplier,
                optimizer_state=optimizer_state,
            )
            spent = self._spent + evaluation * level.evaluation_cost
            self._tell(
                Progress(
                    fraction=min(1.0, spent / self._cost),
                    evaluation=self._passed + evaluation,
                    evaluations=self._evaluations,
                    rendition=name,
                    long_edge_px=level.long_edge_px,
                    loss=found.loss,
                    _render=lambda edge: _preview(task, image, edge),
                    position=position,
                )
            )

        return on_evaluation

    def position(self) -> Checkpoint | None:
        """After the last evaluation; None if there was none yet."""
        return None if self._last is None else self._last.position

    def finished(self, level: pyramid.Level) -> None:
        """Count the step as a whole, even if it converged early."""
        self._spent += level.cost
        self._passed += level.evaluations
        if self._last is not None and self._last.evaluation < self._passed:
            fraction = min(1.0, self._spent / self._cost)
            self._tell(replace(self._last, fraction=fraction, evaluation=self._passed))

    def _tell(self, progress: Progress) -> None:
        self._last = progress
        if self._on_progress is not None:
            self._on_progress(progress)


def _preview(task: RenditionTask, image: Tensor, long_edge_px: int) -> Image.Image:
    return _shown(task, image, *fit_size(image.shape[2], image.shape[3], long_edge_px))


def _shown(task: RenditionTask, image: Tensor, height: int, width: int) -> Image.Image:
    return to_image(task.shown(resize(image, height, width)))
