import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tests.seeds import seeded
from transfer.optim.adam import AdamState, minimize, upsample, upsample_adjoint
from transfer.optim.iterate import DifferentiableLoss, Iterate
from transfer.optim.lbfgs import with_autograd_gradient

SIZES = [(8, 8), (9, 12), (7, 5), (2, 3), (1, 1)]


def draw(height: int, width: int, seed: int, channels: int = 3) -> Tensor:
    return torch.rand(1, channels, height, width, generator=seeded(seed), dtype=torch.float64)


def distance_to(target: Tensor) -> DifferentiableLoss:
    return with_autograd_gradient(lambda image: (image - target).square().mean())


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_upsample_adjoint_is_the_adjoint(height: int, width: int) -> None:
    fine = draw(height, width, 0)
    coarse = draw(-(-height // 2), -(-width // 2), 1)

    enlarged, reduced = upsample(coarse, height, width), upsample_adjoint(fine)

    assert enlarged.shape == fine.shape
    assert reduced.shape == coarse.shape
    # Sums of at most 300 products below 1 in double precision.
    assert (enlarged * fine).sum().item() == pytest.approx((coarse * reduced).sum().item(), 1e-12)


def test_a_coarse_change_costs_one_step() -> None:
    """A patch moves as a whole by the sum of the bands' steps, a single pixel by one."""
    start = torch.zeros(1, 1, 64, 64, dtype=torch.float64)
    patch = F.pad(torch.ones(1, 1, 32, 32, dtype=torch.float64), (16, 16, 16, 16))
    pixel = torch.zeros_like(start)
    pixel[..., 32, 32] = 1.0

    moved = minimize(start, distance_to(patch), 1, 0.01)
    dotted = minimize(start, distance_to(pixel), 1, 0.01)

    assert moved[..., 32, 32].item() > 0.04
    # Of the pixel, coarse bands know as well, but their steps spread over its neighbors.
    neighbors = dotted[..., 32, 36].item()
    assert dotted[..., 32, 32].item() - neighbors > 0.01


def test_minimize_approaches_the_minimum() -> None:
    target = draw(20, 24, 2)
    start = draw(20, 24, 3)

    found = minimize(start, distance_to(target), 60, 0.02)

    assert (found - target).square().mean() < 0.1 * (start - target).square().mean()


def test_it_is_adam_where_there_is_one_band() -> None:
    """An image too small to be halved, against torch's own Adam."""
    target, start = draw(6, 7, 4), draw(6, 7, 5)
    other = start.clone().requires_grad_()
    optimizer = torch.optim.Adam([other], lr=0.03)
    for _ in range(10):
        optimizer.zero_grad()
        # The sum: `minimize` takes the gradient per pixel, of which epsilon is a smaller part.
        (other - target).square().sum().backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    found = minimize(start, distance_to(target), 10, 0.03)

    assert torch.allclose(found, other.detach(), atol=1e-9)


def test_each_evaluation_is_reported_with_the_state_before_its_step() -> None:
    target, iterates = draw(16, 16, 6), list[Iterate]()
    start = draw(16, 16, 7)

    minimize(start, distance_to(target), 3, 0.01, iterates.append)

    assert [iterate.number for iterate in iterates] == [1, 2, 3]
    states = [iterate.optimizer_state for iterate in iterates]
    assert [isinstance(state, AdamState) and state.steps for state in states] == [0, 1, 2]
    assert torch.equal(iterates[0].image, start)
    for iterate in iterates:
        assert iterate.loss == pytest.approx((iterate.image - target).square().mean().item())


def test_a_resumed_run_ends_where_the_whole_one_does() -> None:
    target, start = draw(17, 16, 8), draw(17, 16, 9)
    iterates: list[Iterate] = []
    whole = minimize(start, distance_to(target), 6, 0.01, iterates.append)
    state = iterates[3].optimizer_state
    assert isinstance(state, AdamState)

    rest = minimize(iterates[3].image, distance_to(target), 3, 0.01, optimizer_state=state)

    assert torch.equal(rest, whole)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_ends_the_run(bad: float) -> None:
    start = draw(16, 16, 10)
    calls = 0

    def objective(image: Tensor) -> tuple[Tensor, Tensor]:
        nonlocal calls
        calls += 1
        return torch.tensor(bad), torch.ones_like(image)

    assert torch.equal(minimize(start, objective, 5, 0.01), start)
    assert calls == 1


def test_a_vanished_gradient_ends_the_run() -> None:
    target = draw(16, 16, 11)

    assert torch.equal(minimize(target, distance_to(target), 5, 0.01), target)
