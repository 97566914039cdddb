"""Optimizes one level of a painting, again with less memory where memory runs out."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from torch import Tensor

from transfer.backbones.vgg import VggBackbone
from transfer.imaging.calm_chroma import calm_chroma, calm_chroma_
from transfer.imaging.gamut import clamp
from transfer.imaging.images import resize
from transfer.memory.budget import Budget, call_in_healthy_thread, is_out_of_memory
from transfer.memory.plan import LevelShape, MemoryPlan
from transfer.objective.builder import build_matching_objective, build_objective
from transfer.objective.content_penalty import ContentPenalty
from transfer.objective.matching import Sampler
from transfer.optim import adam
from transfer.optim.adam import AdamState
from transfer.optim.iterate import DifferentiableLoss, Iterate, OptimizerState
from transfer.optim.lbfgs import LbfgsState, minimize
from transfer.pipeline.cuda_graph import CudaGraphObjective
from transfer.pipeline.renditions import RenditionTask
from transfer.planning.pyramid import Level
from transfer.settings import Settings

_LEARNING_RATE = 0.01
"""About the change of a pixel, and of each coarser coefficient, in one evaluation."""

OnEvaluation = Callable[[Iterate, int], None]
"""Callback with an iterate, and the number of the level's evaluations before its run of L-BFGS."""


@dataclass(frozen=True)
class LevelProblem:
    """Everything that one level minimizes."""

    backbone: VggBackbone
    task: RenditionTask
    level: Level
    settings: Settings
    penalty: ContentPenalty
    run_all: bool = False
    """True to do all evaluations even if the loss comes to rest: the user asked for them."""
    graphs: bool = False
    """True to replay evaluations of the whole picture from a CUDA graph."""


def optimize_level(
    image: Tensor,
    problem: LevelProblem,
    on_evaluation: OnEvaluation,
    budget: Budget,
    done: int = 0,
    optimizer_state: OptimizerState | None = None,
) -> Tensor:
    """Optimize an image at one level, by the first memory plan that there is memory for.

    What is judged and returned is its calm image, see `calm_chroma`. Where memory runs out, the
    next plan continues from the best image so far, before that is calmed.

    Args:
        image: start, shape (1, C, H, W) of any size.
        problem: the level's problem.
        on_evaluation: called after each evaluation; its exceptions pass through.
        budget: memory of the painting.
        done: evaluations of the level before this call.
        optimizer_state: state of L-BFGS at ``image``.

    Returns:
        the best calm image, shape (1, C, level height, level width), range [0, 1].

    Raises:
        RuntimeError, MemoryError: if memory runs out with the last plan.
    """
    level = problem.level
    shape = LevelShape(
        level.backbone,
        level.height,
        level.width,
        image.shape[1],
        problem.settings.brush_size,
        problem.backbone.is_fp16,
        has_faces=problem.task.protection_map is not None,
    )
    plans = budget.plans(shape)
    number = budget.first_plan(shape)
    while True:
        plan = plans[number]
        progress = _LevelProgress(image, done, on_evaluation)
        try:
            result = call_in_healthy_thread(
                partial(_minimize_level, image, plan, problem, progress, optimizer_state)
            )
            budget.record_success(number, plan)
            return result
        except (RuntimeError, MemoryError) as error:
            if number + 1 == len(plans) or not is_out_of_memory(error):
                raise
        # Only here, where the error no longer holds the tensors of the failed attempt.
        image, done, optimizer_state = progress.best, progress.done, None
        budget.record_failure(plan, shape)
        number = max(number + 1, budget.first_plan(shape))


def _minimize_level(
    image: Tensor,
    plan: MemoryPlan,
    problem: LevelProblem,
    progress: "_LevelProgress",
    optimizer_state: OptimizerState | None,
) -> Tensor:
    level, task = problem.level, problem.task
    if level.stage.is_matching:
        return _match_level(image, plan, problem, progress, optimizer_state)
    objective = _calm(
        build_objective(
            problem.backbone,
            task.content,
            task.regions,
            level.height,
            level.width,
            problem.settings,
            problem.penalty,
            plan.tile_px,
            plan.saved_from,
            task.protection_map,
        )
    )
    if problem.graphs and plan.tile_px is None:
        objective = CudaGraphObjective(objective)
    # A level begins with the calm image of the one before, so that chroma is blurred once more. At
    # twice the size that is little beside the blur that it has; and at the same size, where vgg19
    # finishes, going on from the image itself was no closer to the style nor sharper to the eye.
    image = resize(image, level.height, level.width)
    assert optimizer_state is None or isinstance(optimizer_state, LbfgsState)  # noqa: S101 - typed
    best = minimize(
        image,
        objective,
        level.evaluations - progress.done,
        progress.record,
        plan.history,
        is_fp16=True,
        run_all=problem.run_all,
        optimizer_state=optimizer_state,
    )
    return clamp(calm_chroma(best))


def _calm(objective: DifferentiableLoss) -> DifferentiableLoss:
    """Return the loss of the calm image as a function of the image, with its gradient."""

    def calm_objective(image: Tensor) -> tuple[Tensor, Tensor]:
        loss, gradient = objective(calm_chroma(image))
        # The map is its own transpose.
        return loss, calm_chroma_(gradient)

    return calm_objective


def _match_level(
    image: Tensor,
    plan: MemoryPlan,
    problem: LevelProblem,
    progress: "_LevelProgress",
    optimizer_state: OptimizerState | None,
) -> Tensor:
    level, task = problem.level, problem.task
    sampler = Sampler(problem.settings.seed)
    objective = _calm(
        build_matching_objective(
            problem.backbone,
            task.content if task.shapes is None else task.shapes,
            task.regions,
            level.height,
            level.width,
            problem.settings,
            level.stage,
            problem.penalty,
            sampler,
            plan.tile_px,
            plan.saved_from,
            task.protection_map,
        )
    )
    assert optimizer_state is None or isinstance(optimizer_state, AdamState)  # noqa: S101 - typed
    # A continued painting goes on with the samples, too.
    evaluation = progress.done if optimizer_state is None else optimizer_state.steps

    def sampled(image: Tensor) -> tuple[Tensor, Tensor]:
        nonlocal evaluation
        evaluation += 1
        sampler.begin(evaluation)
        return objective(image)

    matched = adam.minimize(
        resize(image, level.height, level.width),
        sampled,
        level.evaluations - progress.done,
        _LEARNING_RATE,
        progress.record,
        optimizer_state,
    )
    return clamp(calm_chroma(matched))


class _LevelProgress:
    """The best image, not calmed, and the evaluations of a level, for the next memory plan."""

    def __init__(self, start: Tensor, done: int, on_evaluation: OnEvaluation) -> None:
        self.best = start
        self.done = done
        self._done_before = done
        self._on_evaluation = on_evaluation

    def record(self, iterate: Iterate) -> None:
        """Note an evaluation, and report it."""
        self.done = self._done_before + iterate.number
        self.best = iterate.best
        self._on_evaluation(iterate, self._done_before)
