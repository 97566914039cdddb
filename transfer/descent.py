"""One step of a painting: an image on its way down, in as much memory as there is."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from torch import Tensor

from transfer.backbones.vgg import VggBackbone
from transfer.gamut import shown
from transfer.graphs import Recorded
from transfer.images import resized
from transfer.ladder import Rung, Scope
from transfer.memory import Budget, is_exhausted, soundly
from transfer.optimize import Differentiated, Evaluated, Memory, minimize
from transfer.pyramid import Step
from transfer.renditions import Canvas
from transfer.settings import Settings
from transfer.strength import Hold
from transfer.targets import objective

OnEvaluation = Callable[[Evaluated], None]


@dataclass(frozen=True)
class Goal:
    """What a step is after."""

    backbone: VggBackbone
    scene: Canvas
    step: Step
    settings: Settings
    hold: Hold
    """Of the content."""
    is_patient: bool = False
    """Whether to do all evaluations even if the loss comes to rest: somebody asked for them."""
    graphs: bool = False
    """Whether evaluations of the whole picture are played back from a CUDA graph."""


def descended(
    image: Tensor,
    goal: Goal,
    hears: Callable[[int], OnEvaluation],
    budget: Budget,
    done: int = 0,
    memory: Memory | None = None,
) -> Tensor:
    """The image after the step, on the first rung of the ladder that there is memory for.

    Args:
        image: before it, of any size.
        goal: what the step is after.
        hears: what is called after each evaluation, from the number of those done before.
        budget: of the painting.
        done: evaluations of the step before this.
        memory: of the optimizer, where it stood at this image.

    Raises:
        RuntimeError, MemoryError: where memory runs out on the last rung.
    """
    step = goal.step
    about = image.shape[1], goal.settings.brush_size, goal.backbone.is_halved
    scope = Scope(step.backbone, step.height, step.width, *about)
    rungs = budget.rungs(scope)
    number = budget.first(scope)
    while True:
        rung = rungs[number]
        way = _Way(image, done, hears(done))
        try:
            found = soundly(partial(_minimized, image, rung, goal, way, memory))
            budget.taken(number, rung)
            return found
        except (RuntimeError, MemoryError) as error:
            if number + 1 == len(rungs) or not is_exhausted(error):
                raise
        # Only here, where the error holds nothing of the failed attempt any more.
        image, done, memory = way.best, way.done, None
        budget.failed(rung, scope)
        number = max(number + 1, budget.first(scope))


def _minimized(image: Tensor, rung: Rung, goal: Goal, way: "_Way", memory: Memory | None) -> Tensor:
    size = goal.step.height, goal.step.width
    left = goal.step.evaluations - way.done
    about = goal.backbone, goal.scene, *size, goal.settings, goal.hold
    loss: Differentiated = objective(*about, rung.tile_px, rung.traced_from)
    if goal.graphs and rung.tile_px is None:
        loss = Recorded(loss)
    image = resized(image, *size)
    found = minimize(
        image,
        loss,
        left,
        way.went,
        rung.history,
        is_halved=True,
        is_patient=goal.is_patient,
        memory=memory,
    )
    return shown(found)


class _Way:
    """How far a step has come, for the rung below should this one break."""

    def __init__(self, start: Tensor, done: int, hears: OnEvaluation) -> None:
        self.best = start
        self.done = done
        self._before = done
        self._hears = hears

    def went(self, found: Evaluated) -> None:
        """After each evaluation."""
        self.done = self._before + found.number
        self.best = found.best
        self._hears(found)
