from dataclasses import replace

import pytest
import torch
from PIL import Image

from transfer.engine import Painter
from transfer.imaging.calm_chroma import calm_chroma
from transfer.imaging.images import to_tensor
from transfer.imaging.masks import Region
from transfer.memory.budget import Budget
from transfer.objective.builder import build_objective
from transfer.objective.content_penalty import ContentPenalty
from transfer.optim.iterate import Iterate
from transfer.pipeline.level import LevelProblem, optimize_level
from transfer.pipeline.renditions import RenditionTask
from transfer.planning.pyramid import Level
from transfer.settings import Settings

EVALUATIONS = 8


@pytest.fixture
def problem(painter: Painter, content: Image.Image, style: Image.Image) -> LevelProblem:
    photo = to_tensor(content)
    task = RenditionTask(
        photo, (Region((to_tensor(style),), None, None),), photo, lambda image: image
    )
    settings = Settings(long_edge_px=80)
    penalty = ContentPenalty.of(settings, "compact", 80)
    level = Level("compact", photo.shape[2], photo.shape[3], EVALUATIONS)
    return LevelProblem(painter.backbone("compact"), task, level, settings, penalty)


@pytest.fixture
def budget() -> Budget:
    return Budget(10**12, torch.device("cpu"), is_strict=False)


class Evaluations:
    """Collects losses and numbers of evaluations; raises errors at some of the numbers."""

    def __init__(self, errors: dict[int, Exception] | None = None) -> None:
        self.losses: list[float] = []
        self.numbers: list[int] = []
        self.images: list[torch.Tensor] = []
        self.best = torch.empty(0)
        self._errors = errors or {}

    def record(self, iterate: Iterate, done: int) -> None:
        number = iterate.number + done
        self.numbers.append(number)
        self.losses.append(iterate.loss)
        self.images.append(iterate.image)
        self.best = iterate.best
        if number in self._errors:
            raise self._errors.pop(number)


def test_a_level_takes_an_image_of_any_size_to_its_own_and_brings_the_loss_down(
    problem: LevelProblem, budget: Budget
) -> None:
    evaluations = Evaluations()

    image = optimize_level(problem.task.start[:, :, ::2, ::2], problem, evaluations.record, budget)

    assert image.shape == (1, 3, 60, 80)
    assert 0.0 <= image.min() <= image.max() <= 1.0
    assert evaluations.numbers == list(range(1, EVALUATIONS + 1))
    assert min(evaluations.losses) < 0.7 * evaluations.losses[0]


def test_what_is_judged_and_returned_is_the_calm_image(
    problem: LevelProblem, budget: Budget
) -> None:
    evaluations = Evaluations()
    task, level = problem.task, problem.level
    objective = build_objective(
        problem.backbone,
        task.content,
        task.regions,
        level.height,
        level.width,
        problem.settings,
        problem.penalty,
    )

    image = optimize_level(task.start, problem, evaluations.record, budget)

    assert torch.equal(evaluations.images[0], task.start)
    assert torch.equal(image, calm_chroma(evaluations.best).clamp(0.0, 1.0))
    for judged, loss in zip(evaluations.images, evaluations.losses, strict=True):
        assert float(objective(calm_chroma(judged))[0]) == loss
    # The first step goes straight down the gradient with respect to the image.
    step = evaluations.images[1] - evaluations.images[0]
    _, gradient = objective(calm_chroma(task.start))
    down = -calm_chroma(gradient)
    cosine = torch.cosine_similarity(step.flatten(), down.flatten(), dim=0)
    assert cosine == pytest.approx(1.0, abs=1e-5)


def test_lightness_alone_is_judged_as_it_is(problem: LevelProblem, budget: Budget) -> None:
    evaluations = Evaluations()
    task = problem.task
    light = task.content.mean(dim=1, keepdim=True)
    style = task.regions[0].styles[0].mean(dim=1, keepdim=True)
    gray = replace(
        problem, task=RenditionTask(light, (Region((style,), None, None),), light, task.to_rgb)
    )

    image = optimize_level(light, gray, evaluations.record, budget)

    assert torch.equal(image, evaluations.best.clamp(0.0, 1.0))


def test_evaluations_done_before_are_not_repeated(problem: LevelProblem, budget: Budget) -> None:
    evaluations = Evaluations()

    optimize_level(problem.task.start, problem, evaluations.record, budget, done=5)

    assert evaluations.numbers == list(range(6, EVALUATIONS + 1))


def test_where_memory_runs_out_the_next_plan_continues_from_the_best_image(
    problem: LevelProblem, budget: Budget
) -> None:
    evaluations = Evaluations({4: MemoryError()})

    optimize_level(problem.task.start, problem, evaluations.record, budget)

    assert evaluations.numbers == list(range(1, EVALUATIONS + 1))
    # The fifth evaluation is of the best image so far, calmed no more than before.
    assert evaluations.losses[4] == pytest.approx(min(evaluations.losses[:4]), rel=1e-4)
    assert budget.lowest.history < 10


def test_memory_that_runs_out_with_every_plan_is_an_error(
    problem: LevelProblem, budget: Budget
) -> None:
    calls: list[int] = []

    def fail(iterate: Iterate, done: int) -> None:
        calls.append(iterate.number)
        raise MemoryError

    long = LevelProblem(
        problem.backbone,
        problem.task,
        Level("compact", 60, 80, 100),
        problem.settings,
        problem.penalty,
    )
    with pytest.raises(MemoryError):
        optimize_level(problem.task.start, long, fail, budget)

    assert len(calls) > 1


def test_any_other_error_passes_through_at_once(problem: LevelProblem, budget: Budget) -> None:
    evaluations = Evaluations({2: RuntimeError("size mismatch")})

    with pytest.raises(RuntimeError, match="size mismatch"):
        optimize_level(problem.task.start, problem, evaluations.record, budget)

    assert evaluations.numbers == [1, 2]
