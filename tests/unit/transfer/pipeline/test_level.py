import pytest
import torch
from PIL import Image

from transfer.engine import Painter
from transfer.imaging.images import to_tensor
from transfer.imaging.masks import Region
from transfer.memory.budget import Budget
from transfer.objective.content_penalty import ContentPenalty
from transfer.optim.lbfgs import Iterate
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
        self.best: torch.Tensor | None = None
        self._errors = errors or {}

    def record(self, iterate: Iterate, done: int) -> None:
        number = iterate.number + done
        self.numbers.append(number)
        self.losses.append(iterate.loss)
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
    # The fifth evaluation is of the best image so far, through the same network.
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
