"""One step of a painting: an image on its way down, in as much memory as there is."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from torch import Tensor

from transfer.backbones.vgg import VggBackbone
from transfer.imaging.gamut import clamp
from transfer.imaging.images import resize
from transfer.memory.budget import Budget, call_in_healthy_thread, is_out_of_memory
from transfer.memory.plan import LevelShape, MemoryPlan
from transfer.objective.builder import build_objective
from transfer.objective.content_penalty import ContentPenalty
from transfer.optim.cuda_graph import CudaGraphObjective
from transfer.optim.lbfgs import DifferentiableLoss, Iterate, LbfgsState, minimize
from transfer.pipeline.renditions import RenditionTask
from transfer.planning.pyramid import Level
from transfer.settings import Settings

OnEvaluation = Callable[[Iterate], None]


@dataclass(frozen=True)
class LevelProblem:
    """What a step is after."""

    backbone: VggBackbone
    task: RenditionTask
    level: Level
    settings: Settings
    penalty: ContentPenalty
    """Of the content."""
    run_all: bool = False
    """Whether to do all evaluations even if the loss comes to rest: somebody asked for them."""
    graphs: bool = False
    """Whether evaluations of the whole picture are played back from a CUDA graph."""


def optimize_level(
    image: Tensor,
    problem: LevelProblem,
    on_evaluation: Callable[[int], OnEvaluation],
    budget: Budget,
    done: int = 0,
    optimizer_state: LbfgsState | None = None,
) -> Tensor:
    """The image after the step, on the first rung of the ladder that there is memory for.

    Args:
        image: before it, of any size.
        problem: what the step is after.
        on_evaluation: what is called after each evaluation, from the number of those done before.
        budget: of the painting.
        done: evaluations of the step before this.
        optimizer_state: of the optimizer, where it stood at this image.

    Raises:
        RuntimeError, MemoryError: where memory runs out on the last rung.
    """
    level = problem.level
    about = image.shape[1], problem.settings.brush_size, problem.backbone.is_fp16
    shape = LevelShape(level.backbone, level.height, level.width, *about)
    plans = budget.plans(shape)
    number = budget.first_plan(shape)
    while True:
        plan = plans[number]
        way = _LevelProgress(image, done, on_evaluation(done))
        try:
            iterate = call_in_healthy_thread(
                partial(_minimize_level, image, plan, problem, way, optimizer_state)
            )
            budget.record_success(number, plan)
            return iterate
        except (RuntimeError, MemoryError) as error:
            if number + 1 == len(plans) or not is_out_of_memory(error):
                raise
        # Only here, where the error holds nothing of the failed attempt any more.
        image, done, optimizer_state = way.best, way.done, None
        budget.record_failure(plan, shape)
        number = max(number + 1, budget.first_plan(shape))


def _minimize_level(
    image: Tensor,
    plan: MemoryPlan,
    problem: LevelProblem,
    way: "_LevelProgress",
    optimizer_state: LbfgsState | None,
) -> Tensor:
    size = problem.level.height, problem.level.width
    left = problem.level.evaluations - way.done
    task = problem.task
    about = problem.backbone, task.content, task.regions, *size, problem.settings, problem.penalty
    loss: DifferentiableLoss = build_objective(*about, plan.tile_px, plan.saved_from)
    if problem.graphs and plan.tile_px is None:
        loss = CudaGraphObjective(loss)
    image = resize(image, *size)
    iterate = minimize(
        image,
        loss,
        left,
        way.record,
        plan.history,
        is_fp16=True,
        run_all=problem.run_all,
        optimizer_state=optimizer_state,
    )
    return clamp(iterate)


class _LevelProgress:
    """How far a step has come, for the rung below should this one break."""

    def __init__(self, start: Tensor, done: int, on_evaluation: OnEvaluation) -> None:
        self.best = start
        self.done = done
        self._before = done
        self._hears = on_evaluation

    def record(self, iterate: Iterate) -> None:
        """After each evaluation."""
        self.done = self._before + iterate.number
        self.best = iterate.best
        self._hears(iterate)
