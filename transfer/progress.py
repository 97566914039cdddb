"""How far a painting is, over all its renditions."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from PIL import Image
from torch import Tensor

from transfer import pyramid
from transfer.images import fitted_size, resized, to_image
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

    def preview(self, long_edge_px: int) -> Image.Image:
        """The image as it is now; made only when asked for, while the callback runs or after."""
        return self._render(long_edge_px)


OnProgress = Callable[[Progress], None]


class Ledger:
    """How much of all that is planned has been done, and who hears of it."""

    def __init__(self, steps: Sequence[pyramid.Step], on_progress: OnProgress | None) -> None:
        self.done = 0
        """Evaluations; those that a converged scale did not need are not among them."""
        self._evaluations = sum(step.evaluations for step in steps)
        self._cost = sum(step.cost for step in steps)
        self._spent = 0.0
        self._passed = 0  # evaluations, done or not needed, before the step at hand
        self._on_progress = on_progress
        self._last: Progress | None = None

    def evaluated(
        self, step: pyramid.Step, rendition: Rendition, scene: Canvas
    ) -> Callable[[int, float, Tensor], None]:
        """What `minimize` calls after each evaluation of a step."""

        def on_evaluation(evaluation: int, loss: float, image: Tensor) -> None:
            self.done += 1
            spent = self._spent + evaluation * step.evaluation_cost
            self._tell(
                Progress(
                    fraction=min(1.0, spent / self._cost),
                    evaluation=self._passed + evaluation,
                    evaluations=self._evaluations,
                    rendition=rendition,
                    long_edge_px=step.long_edge_px,
                    loss=loss,
                    _render=lambda edge: _preview(scene, image, edge),
                )
            )

        return on_evaluation

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
    height, width = fitted_size(image.shape[2], image.shape[3], long_edge_px)
    return to_image(scene.shown(resized(image, height, width)))
