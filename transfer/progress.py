"""How far a painting is, over all its renditions."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from PIL import Image
from torch import Tensor

from transfer import pyramid
from transfer.animation import Recorder
from transfer.checkpoints import Checkpoint, reached
from transfer.images import fitted_size, resized, to_image
from transfer.optimize import Evaluated
from transfer.renditions import Canvas
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
    standing: Checkpoint = field(repr=False, compare=False)
    """Where the painting stands, for `checkpoint`."""

    def preview(self, long_edge_px: int) -> Image.Image:
        """The image as it is now; made only when asked for, while the callback runs or after."""
        return self._render(long_edge_px)

    def checkpoint(self) -> bytes:
        """What `paint` needs to go on from here, in this process or another."""
        return self.standing.to_bytes()


OnProgress = Callable[[Progress], None]


class Ledger:
    """How much of all that is planned has been done, and who hears of it."""

    def __init__(
        self,
        plans: Mapping[Rendition, Sequence[pyramid.Step]],
        identity: str,
        finished: Mapping[Rendition, Image.Image],
        on_progress: OnProgress | None,
        recorder: Recorder | None = None,
    ) -> None:
        self.done = 0
        """Evaluations; those that a converged scale did not need are not among them."""
        self._plans = list(plans.items())
        self._identity = identity
        self._renditions = finished
        steps = [step for plan in plans.values() for step in plan]
        self._evaluations = sum(step.evaluations for step in steps)
        self._cost = sum(step.cost for step in steps)
        self._spent = 0.0
        self._passed = 0  # evaluations, done or not needed, before the step at hand
        self._on_progress = on_progress
        self._recorder = recorder
        self._last: Progress | None = None

    def evaluated(
        self, scene: Canvas, rendition: int, number: int, grip: float, done: int
    ) -> Callable[[Evaluated], None]:
        """What `minimize` calls after each evaluation of a step.

        Args:
            scene: what is being painted.
            rendition: its place among the renditions.
            number: the step's place in the rendition's plan.
            grip: of the content, in that step.
            done: evaluations of this step that a checkpoint brought along.
        """
        name, steps = self._plans[rendition]
        step = steps[number]

        def on_evaluation(found: Evaluated) -> None:
            self.done += 1
            evaluation = found.number + done
            if self._recorder is not None and rendition == 0:
                self._recorder.offer(
                    self._passed + evaluation,
                    lambda height, width: _shown(scene, found.best, height, width),
                )
            # Held until the next one comes; `found` is not: pairs that are forgotten by then take
            # 151 MB each at 4096 px.
            image = found.image
            evaluations, start, memory = reached(found, done)
            standing = Checkpoint(
                identity=self._identity,
                rendition=rendition,
                step=number,
                evaluations=evaluations,
                image=start,
                finished=dict(self._renditions),
                frames={} if self._recorder is None else self._recorder.frames,
                grip=grip,
                memory=memory,
            )
            spent = self._spent + evaluation * step.evaluation_cost
            self._tell(
                Progress(
                    fraction=min(1.0, spent / self._cost),
                    evaluation=self._passed + evaluation,
                    evaluations=self._evaluations,
                    rendition=name,
                    long_edge_px=step.long_edge_px,
                    loss=found.loss,
                    _render=lambda edge: _preview(scene, image, edge),
                    standing=standing,
                )
            )

        return on_evaluation

    def standing(self) -> Checkpoint | None:
        """After the last evaluation; None if there was none yet."""
        return None if self._last is None else self._last.standing

    def finished(self, step: pyramid.Step) -> None:
        """Count the step as a whole, even if it converged early."""
        self._spent += step.cost
        self._passed += step.evaluations
        if self._last is not None and self._last.evaluation < self._passed:
            fraction = min(1.0, self._spent / self._cost)
            self._tell(replace(self._last, fraction=fraction, evaluation=self._passed))

    def _tell(self, progress: Progress) -> None:
        self._last = progress
        if self._on_progress is not None:
            self._on_progress(progress)


def _preview(scene: Canvas, image: Tensor, long_edge_px: int) -> Image.Image:
    return _shown(scene, image, *fitted_size(image.shape[2], image.shape[3], long_edge_px))


def _shown(scene: Canvas, image: Tensor, height: int, width: int) -> Image.Image:
    return to_image(scene.shown(resized(image, height, width)))
