import math
from functools import partial

import pytest
import torch
from torch import Tensor

from tests.unit.transfer.waits import Waits
from transfer.optim import lbfgs, stored_vectors
from transfer.optim.iterate import Iterate
from transfer.optim.lbfgs import PATIENCE, LbfgsState, minimize, with_autograd_gradient


def quadratic(condition: float) -> tuple[Tensor, Tensor]:
    scales = torch.logspace(0, math.log10(condition), 50, dtype=torch.float64)
    return scales, torch.linspace(-1, 1, 50, dtype=torch.float64)


def lbfgs_state(iterate: Iterate) -> LbfgsState:
    assert isinstance(iterate.optimizer_state, LbfgsState)
    return iterate.optimizer_state


def test_minimize_finds_the_minimum_of_a_quadratic() -> None:
    scales, minimum = quadratic(100.0)

    found = minimize(
        torch.zeros(50, dtype=torch.float64),
        with_autograd_gradient(lambda image: (scales * (image - minimum).square()).sum()),
        evaluations=80,
    )

    assert torch.allclose(found, minimum, atol=1e-4)


def test_is_as_good_as_torch() -> None:
    """Rosenbrock's valley in 10 dimensions, against torch's own L-BFGS without line search."""

    def valley(x: Tensor) -> Tensor:
        return (100.0 * (x[1:] - x[:-1].square()).square() + (1.0 - x[:-1]).square()).sum()

    start = torch.zeros(10, dtype=torch.float64)
    found = minimize(start, with_autograd_gradient(valley), evaluations=150)
    other = start.clone().requires_grad_()
    optimizer = torch.optim.LBFGS([other], max_iter=149, max_eval=150, history_size=20)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = valley(other)
        (other.grad,) = torch.autograd.grad(loss, other)
        return loss

    optimizer.step(closure)  # type: ignore[no-untyped-call]

    assert valley(found).item() <= max(1e-6, 10 * valley(other).item())


def test_counts_evaluations_and_reports_each() -> None:
    calls: list[int] = []
    reports: list[tuple[int, float]] = []

    def objective(image: Tensor) -> Tensor:
        calls.append(1)
        return image.square().square().sum()

    minimize(
        torch.ones(3),
        with_autograd_gradient(objective),
        7,
        lambda iterate: reports.append((iterate.number, iterate.loss)),
    )

    assert len(calls) == 7
    assert [evaluation for evaluation, _ in reports] == [1, 2, 3, 4, 5, 6, 7]
    assert reports[0][1] == 3.0


def test_returns_the_best_image_and_leaves_the_start_alone() -> None:
    start = torch.full((4,), 2.0)
    seen: list[tuple[float, Tensor]] = []

    found = minimize(
        start,
        with_autograd_gradient(lambda image: (torch.cosh(3 * image) - 1).sum()),
        30,
        lambda iterate: seen.append((iterate.loss, iterate.image)),
    )

    assert torch.equal(start, torch.full((4,), 2.0))
    assert torch.equal(found, min(seen, key=lambda pair: pair[0])[1])


def test_recovers_from_not_a_number() -> None:
    """Steps into the region where the objective is undefined are taken back."""
    found = minimize(
        torch.full((2,), 0.2),
        with_autograd_gradient(lambda image: (image - 0.9 * image.log()).sum()),
        evaluations=60,
    )

    assert torch.allclose(found, torch.tensor(0.9), atol=1e-2)


def test_stops_where_the_gradient_vanishes() -> None:
    calls: list[int] = []

    found = minimize(
        torch.zeros(3),
        with_autograd_gradient(lambda image: (image * 0.0).sum()),
        20,
        lambda iterate: calls.append(iterate.number),
    )

    assert calls == [1]
    assert torch.equal(found, torch.zeros(3))


def far_above_zero(image: Tensor) -> Tensor:
    """Loss that cannot fall below 10, and hardly falls after a few evaluations."""
    return 10.0 + image.pow(4).sum()


def test_stops_where_the_loss_has_come_to_rest() -> None:
    losses: list[float] = []
    start = torch.linspace(-1, 1, 30)

    def record(iterate: Iterate) -> None:
        losses.append(iterate.loss)

    minimize(start, with_autograd_gradient(far_above_zero), 100, record)

    assert PATIENCE < len(losses) < 2 * PATIENCE
    lows = [min(losses[: number + 1]) for number in range(len(losses))]
    assert lows[-1] > 0.99 * lows[-1 - PATIENCE]
    assert lows[-2] <= 0.99 * lows[-2 - PATIENCE]


def test_run_all_goes_on_after_the_loss_has_come_to_rest() -> None:
    calls: list[int] = []

    minimize(
        torch.linspace(-1, 1, 30),
        with_autograd_gradient(far_above_zero),
        40,
        lambda iterate: calls.append(iterate.number),
        run_all=True,
    )

    assert len(calls) == 40


@pytest.mark.parametrize("stop", [1, 5, PATIENCE + 1])
def test_a_resumed_run_comes_to_rest_where_it_would_have_without_a_stop(stop: int) -> None:
    seen: list[Iterate] = []
    loss, start = with_autograd_gradient(far_above_zero), torch.linspace(-1, 1, 30)
    minimize(start, loss, 100, seen.append)
    whole = len(seen)
    at = seen[stop - 1]

    minimize(at.image, loss, 101 - stop, seen.append, optimizer_state=lbfgs_state(at))

    assert len(seen) - whole == whole - stop + 1


def test_an_exception_of_the_callback_passes_through() -> None:
    def stop(*_: object) -> None:
        raise KeyError("stop")

    with pytest.raises(KeyError, match="stop"):
        minimize(torch.ones(3), with_autograd_gradient(lambda image: image.square().sum()), 5, stop)


def test_gives_up_where_there_is_no_number_to_begin_with() -> None:
    calls: list[int] = []

    found = minimize(
        torch.ones(3),
        with_autograd_gradient(lambda image: (image * math.nan).sum()),
        20,
        lambda iterate: calls.append(iterate.number),
    )

    assert calls == [1]
    assert torch.equal(found, torch.ones(3))


@pytest.mark.parametrize("chunk", [7, 1 << 20])
@pytest.mark.parametrize("is_fp16", [True, False])
@pytest.mark.parametrize("stop", [1, 2, 9, 20])
def test_a_resumed_run_goes_on_as_if_it_had_not_stopped(
    monkeypatch: pytest.MonkeyPatch, stop: int, is_fp16: bool, chunk: int
) -> None:
    """Also after a step that overshot (of the bumps, some do)."""
    monkeypatch.setattr(stored_vectors, "_CHUNK_VALUES", chunk)

    @with_autograd_gradient
    def bumps(image: Tensor) -> Tensor:
        return (torch.cosh(4 * image) + 1.0 + (9 * image * image.roll(1)).sin()).sum()

    seen: list[Iterate] = []
    start = torch.linspace(-2, 2, 30)
    run = partial(minimize, history=6, is_fp16=is_fp16, run_all=True)
    whole = run(start, bumps, 40, seen.append)
    at = seen[stop - 1]

    found = run(at.image, bumps, 41 - stop, seen.append, optimizer_state=lbfgs_state(at))

    assert any(one.optimizer_state.best is not None for one in seen)
    assert torch.equal(found, whole)
    assert [one.loss for one in seen[40:]] == [one.loss for one in seen[stop - 1 : 40]]


def test_waits_for_the_device_once_in_an_evaluation(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each wait costs a GPU as much as many launches."""
    reads: list[int] = []
    read = lbfgs._read

    def counted(*scalars: Tensor) -> list[float]:
        reads.append(len(scalars))
        return read(*scalars)

    def bowl(image: Tensor) -> tuple[Tensor, Tensor]:
        return image.pow(4).sum(), 4 * image.pow(3)

    monkeypatch.setattr(lbfgs, "_read", counted)
    with Waits() as waits:
        minimize(torch.ones(50), bowl, 9, is_fp16=True)

    assert len(reads) == 9
    assert waits.count == 0
